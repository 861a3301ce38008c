using System.Collections.Immutable;

namespace TrainServe.Server.Catalogue;

/// <summary>The models that are served, by name.</summary>
internal sealed class ModelCatalogue(ServerOptions options) : IAsyncDisposable
{
    private ImmutableSortedDictionary<string, ServedModel> _models = ImmutableSortedDictionary.Create<string, ServedModel>(StringComparer.Ordinal);
    private ImmutableSortedDictionary<string, string> _aliases = options.Aliases.Select(pair => pair.Split('=')).ToImmutableSortedDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);
    private volatile bool _loaded;

    /// <summary>In the order of their names.</summary>
    public IEnumerable<ServedModel> Models => _models.Values;

    /// <summary>Whether every model directory was looked at.</summary>
    public bool IsLoaded => _loaded;

    public bool IsEmpty => _models.IsEmpty;

    /// <summary>Other names of models, by name.</summary>
    public IReadOnlyDictionary<string, string> Aliases => _aliases;

    /// <summary>Serves a model from now on; gives the version that it takes the place of, if any.</summary>
    public ServedModel? Add(ServedModel model)
    {
        ServedModel? old = null;
        ImmutableInterlocked.Update(ref _models, models =>
        {
            old = models.GetValueOrDefault(model.Id);
            return models.SetItem(model.Id, model);
        });
        return old;
    }

    /// <summary>Serves a model no longer; null where it is none.</summary>
    public ServedModel? Remove(string id)
    {
        ServedModel? old = null;
        ImmutableInterlocked.Update(ref _models, models =>
        {
            old = models.GetValueOrDefault(id);
            return models.Remove(id);
        });
        return old;
    }

    /// <summary>Gives a model another name, which may have been that of another; null takes the name away.</summary>
    public void SetAlias(string alias, string? id) => ImmutableInterlocked.Update(ref _aliases, aliases => id is null ? aliases.Remove(alias) : aliases.SetItem(alias, id));

    public void MarkLoaded() => _loaded = true;

    /// <exception cref="InvalidRequestException">No such model: 404.</exception>
    /// <exception cref="ServerUnavailableException">It may be among those that are still being loaded.</exception>
    public ServedModel Find(string? id)
    {
        if (id is not null && (_models.TryGetValue(id, out var model) || (_aliases.TryGetValue(id, out string? target) && _models.TryGetValue(target, out model))))
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

    /// <inheritdoc cref="Find"/>
    /// <summary>The model of a name, held in the version that it has now.</summary>
    public ModelLease Lease(string? id)
    {
        while (true)
        {
            // Between finding and holding it may have made way for a newer version, which is then found.
            if (Find(id).TryLease() is { } lease)
            {
                return lease;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var model in Models)
        {
            await model.DisposeAsync();
        }
    }
}
