namespace TrainServe.Training.Alignment;

/// <summary>A prompt and an answer to it as tokens.</summary>
/// <param name="Ids">The prompt's tokens, then the answer's with the one that ends it, if it was ended.</param>
/// <param name="PromptLength">Tokens of the prompt, at least one.</param>
public sealed record Answer(int[] Ids, int PromptLength)
{
    /// <summary>Tokens of the answer.</summary>
    public int Length => Ids.Length - PromptLength;

    public ReadOnlySpan<int> AnswerIds => Ids.AsSpan(PromptLength);
}
