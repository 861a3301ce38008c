using TrainServe.Core.Packaging;

namespace TrainServe.Server.Catalogue;

/// <summary>Fills the catalogue while the server already listens: live at once, ready when this is done. Then loads anew what faults.</summary>
internal sealed partial class CatalogueService(ModelCatalogue catalogue, LoadModel load, ServerOptions options, TimeProvider time, ILogger<CatalogueService> log) : BackgroundService
{
    private static readonly TimeSpan Watch = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await Task.Yield();
            await FillAsync(stoppingToken);
            await ReviveAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops, or did not even start.
        }
    }

    private async Task FillAsync(CancellationToken cancellationToken)
    {
        foreach (string directory in Directories())
        {
            await LoadAsync(directory, cancellationToken);
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
        using var timer = new PeriodicTimer(Watch, time);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            foreach (var model in catalogue.Models.Where(model => !model.Engine.Status.IsHealthy).ToArray())
            {
                LogFaulted(model.Id, model.Engine.Status.Fault!);
                if (await LoadAsync(model.Package.Directory, cancellationToken))
                {
                    await model.DisposeAsync();
                }
            }
        }
    }

    // Only what has a manifest counts: recipes and half-made runs may lie beside the models.
    private IEnumerable<string> Directories()
    {
        string root = Path.GetFullPath(options.Models);
        if (!Directory.Exists(root))
        {
            return [];
        }
        return HasManifest(root) ? [root] : Directory.EnumerateDirectories(root).Where(HasManifest).Order(StringComparer.Ordinal);
    }

    private static bool HasManifest(string directory) => File.Exists(Path.Combine(directory, ModelManifest.FileName));

    private async Task<bool> LoadAsync(string directory, CancellationToken cancellationToken)
    {
        try
        {
            var model = await load(directory, cancellationToken);
            catalogue.Add(model);
            LogServed(model.Id, model.Precision, model.Package.Config.ParameterCount, model.ContextLength, model.Fingerprint);
            return true;
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            LogRefused(Path.GetFileName(directory), exception.Message);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            LogBroken(exception, Path.GetFileName(directory));
        }
        return false;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Serving {Model} at {Precision}: {Parameters} parameters, context of {ContextLength} tokens, version {Fingerprint}.")]
    private partial void LogServed(string model, string precision, long parameters, int contextLength, string fingerprint);

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
