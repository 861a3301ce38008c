using System.Collections.Immutable;

namespace TrainServe.Server.Catalogue;

/// <summary>The models that are served, by name.</summary>
internal sealed class ModelCatalogue : IAsyncDisposable
{
    private ImmutableSortedDictionary<string, ServedModel> _models = ImmutableSortedDictionary.Create<string, ServedModel>(StringComparer.Ordinal);
    private volatile bool _loaded;

    /// <summary>In the order of their names.</summary>
    public IEnumerable<ServedModel> Models => _models.Values;

    /// <summary>Whether every model directory was looked at.</summary>
    public bool IsLoaded => _loaded;

    public bool IsEmpty => _models.IsEmpty;

    public void Add(ServedModel model) => _models = _models.SetItem(model.Id, model);

    public void MarkLoaded() => _loaded = true;

    /// <exception cref="InvalidRequestException">No such model: 404.</exception>
    /// <exception cref="ServerUnavailableException">It may be among those that are still being loaded.</exception>
    public ServedModel Find(string? id)
    {
        if (id is not null && _models.TryGetValue(id, out var model))
        {
            return model;
        }
        if (!IsLoaded)
        {
            throw new ServerUnavailableException("The server is loading its models. Please try again.", TimeSpan.FromSeconds(2));
        }
        string message = id is null
            ? "You must provide a model parameter."
            : $"The model '{Requests.JsonRequestReader.Shown(id)}' does not exist or is not served here.";
        throw new InvalidRequestException(message, "model", "model_not_found", StatusCodes.Status404NotFound);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var model in Models)
        {
            await model.DisposeAsync();
        }
    }
}
