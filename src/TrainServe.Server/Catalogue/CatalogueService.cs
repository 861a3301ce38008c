using TrainServe.Core.Packaging;

namespace TrainServe.Server.Catalogue;

/// <summary>Fills the catalogue while the server already listens: live at once, ready when this is done. Then loads anew what faults, and what changed where that is watched.</summary>
internal sealed partial class CatalogueService(ModelCatalogue catalogue, ModelLoads loads, ServerOptions options, TimeProvider time, ILogger<CatalogueService> log) : BackgroundService
{
    private static readonly TimeSpan Watch = TimeSpan.FromSeconds(1);

    // Of directories whose manifest changed: what was seen last, so that each version is tried once.
    private readonly Dictionary<string, DateTime> _seen = new(StringComparer.Ordinal);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await Task.Yield();
            await FillAsync(stoppingToken);
            using var timer = new PeriodicTimer(Watch, time);
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await ReviveAsync(stoppingToken);
                if (options.WatchModels)
                {
                    await RenewAsync(stoppingToken);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops, or did not even start.
        }
    }

    private async Task FillAsync(CancellationToken cancellationToken)
    {
        foreach (string directory in loads.Directories())
        {
            _seen[directory] = ManifestTime(directory);
            await TryLoadAsync(directory, cancellationToken);
        }
        catalogue.MarkLoaded();
        if (catalogue.IsEmpty)
        {
            LogNothing(Path.GetFullPath(options.Models));
        }
        else
        {
            LogReady(string.Join(", ", catalogue.Models.Select(model => model.Id)));
        }
    }

    /// <summary>An engine that failed answers nothing more; a new one takes its place.</summary>
    private async Task ReviveAsync(CancellationToken cancellationToken)
    {
        foreach (var model in catalogue.Models.Where(model => !model.Engine.Status.IsHealthy).ToArray())
        {
            LogFaulted(model.Id, model.Engine.Status.Fault!);
            await TryLoadAsync(model.Package.Directory, cancellationToken);
        }
    }

    /// <summary>Directories that are new or have another manifest than when they were last looked at.</summary>
    private async Task RenewAsync(CancellationToken cancellationToken)
    {
        foreach (string directory in loads.Directories())
        {
            var written = ManifestTime(directory);
            if (!_seen.TryGetValue(directory, out var seen) || seen != written)
            {
                _seen[directory] = written;
                await TryLoadAsync(directory, cancellationToken);
            }
        }
    }

    private static DateTime ManifestTime(string directory) => File.GetLastWriteTimeUtc(Path.Combine(directory, ModelManifest.FileName));

    private async Task TryLoadAsync(string directory, CancellationToken cancellationToken)
    {
        try
        {
            await loads.LoadAsync(directory, cancellationToken);
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            LogRefused(Path.GetFileName(directory), exception.Message);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            LogBroken(exception, Path.GetFileName(directory));
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Not serving {Model}: {Reason}")]
    private partial void LogRefused(string model, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Not serving {Model}: loading it failed.")]
    private partial void LogBroken(Exception exception, string model);

    [LoggerMessage(Level = LogLevel.Error, Message = "The engine of {Model} failed and is loaded anew: {Fault}")]
    private partial void LogFaulted(string model, string fault);

    [LoggerMessage(Level = LogLevel.Warning, Message = "There is no model to serve in {Directory}: the server runs, but is not ready. Point --models at a directory of exported models.")]
    private partial void LogNothing(string directory);

    [LoggerMessage(Level = LogLevel.Information, Message = "Ready: {Models}.")]
    private partial void LogReady(string models);
}
