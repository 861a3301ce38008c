using TrainServe.Inference;

namespace TrainServe.Server.Catalogue;

/// <summary>What the server needs of an engine. Tests put engines here that wait, fail, or are full when told to.</summary>
internal interface ITextEngine : IAsyncDisposable
{
    EngineStatus Status { get; }

    /// <inheritdoc cref="GenerationEngine.GenerateAsync"/>
    IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationRequest request, CancellationToken cancellationToken);

    /// <inheritdoc cref="GenerationEngine.EmbedAsync"/>
    Task<float[]> EmbedAsync(IReadOnlyList<int> ids, CancellationToken cancellationToken);

    /// <inheritdoc cref="GenerationEngine.RewardAsync"/>
    Task<float> RewardAsync(IReadOnlyList<int> ids, CancellationToken cancellationToken);
}
