namespace TrainServe.Inference.Speculation;

/// <summary>Guesses what a sequence goes on with; the model then verifies all guesses in one step. For the engine's thread.</summary>
/// <remarks>Speculative decoding: Leviathan, Kalman and Matias 2023; Chen et al. 2023. What is not what the model would have chosen is dropped, so a bad guess costs time only.</remarks>
internal interface IDrafter : IDisposable
{
    /// <param name="tokens">Prompt and answer so far.</param>
    /// <param name="draft">Receives the guesses.</param>
    /// <returns>How many were guessed; 0 where nothing comes to mind.</returns>
    int Draft(ReadOnlySpan<int> tokens, Span<int> draft);
}
