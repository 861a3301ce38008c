using TrainServe.Core.Packaging;
using TrainServe.Inference.Execution;

namespace TrainServe.Server.Catalogue;

/// <summary>Brings models into the catalogue and out of it, one after the other. What takes a version's place is loaded and warm before; the old one finishes its answers.</summary>
internal sealed partial class ModelLoads(ModelCatalogue catalogue, LoadModel load, ServerOptions options, ILogger<ModelLoads> log) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1, 1);

    private string Root => Path.GetFullPath(options.Models);

    /// <summary>Directories that can be models: recipes and half-made runs, which have no manifest, may lie beside them.</summary>
    public IEnumerable<string> Directories()
    {
        if (!Directory.Exists(Root))
        {
            return [];
        }
        return HasManifest(Root) ? [Root] : Directory.EnumerateDirectories(Root).Where(HasManifest).Order(StringComparer.Ordinal);
    }

    /// <summary>Loads a directory, or loads it anew, and serves it.</summary>
    /// <exception cref="InvalidDataException">It cannot be served, and why. What was served before still is.</exception>
    public async Task<ServedModel> LoadAsync(string directory, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            var model = await load(directory, cancellationToken);
            var old = catalogue.Add(model);
            LogServed(model.Id, model.Precision, model.Device, model.Package.Config.ParameterCount, model.ContextLength, model.Fingerprint);
            if (model.DeviceNote is { } note)
            {
                LogNoGpu(model.Id, note);
            }
            if (old is not null)
            {
                _ = RetireAsync(old);
            }
            return model;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Serves a model no longer; null where it is none. Its answers in flight are finished.</summary>
    public ServedModel? Unload(string id)
    {
        var old = catalogue.Remove(id);
        if (old is not null)
        {
            _ = RetireAsync(old);
        }
        return old;
    }

    /// <summary>The directory of a model by name; null where there is none.</summary>
    public string? DirectoryOf(string name) => Directories().FirstOrDefault(directory => Path.GetFileName(directory) == name);

    public void Dispose() => _turn.Dispose();

    private async Task RetireAsync(ServedModel model)
    {
        LogRetiring(model.Id, model.Fingerprint, model.InFlight);
        await model.RetireAsync();
        LogRetired(model.Id, model.Fingerprint);
    }

    private static bool HasManifest(string directory) => File.Exists(Path.Combine(directory, ModelManifest.FileName));

    [LoggerMessage(Level = LogLevel.Information, Message = "Serving {Model} at {Precision} on {Device}: {Parameters} parameters, context of {ContextLength} tokens, version {Fingerprint}.")]
    private partial void LogServed(string model, string precision, InferenceDevice device, long parameters, int contextLength, string fingerprint);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Model} uses no GPU: {Reason}.")]
    private partial void LogNoGpu(string model, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Model} in version {Fingerprint} takes no more requests; {InFlight} are finished first.")]
    private partial void LogRetiring(string model, string fingerprint, int inFlight);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Model} in version {Fingerprint} is unloaded.")]
    private partial void LogRetired(string model, string fingerprint);
}
