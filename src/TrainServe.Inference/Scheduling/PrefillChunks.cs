namespace TrainServe.Inference.Scheduling;

/// <summary>How a prompt is cut.</summary>
public static class PrefillChunks
{
    /// <summary>Tokens of the next chunk.</summary>
    /// <remarks>
    /// A chunk of one token takes another path through the attention kernel than longer ones and would make the result depend on where a prompt was cut. So a last token
    /// goes with the chunk before it. Only a prompt of one token is computed as one.
    /// </remarks>
    /// <param name="left">Tokens of the prompt that are not yet computed.</param>
    /// <param name="chunk">The usual size, at least 2.</param>
    public static int Next(int left, int chunk) => left <= chunk + 1 ? left : chunk;
}
