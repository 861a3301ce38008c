namespace TrainServe.Core.Chat;

/// <summary>A conversation as the model sees it.</summary>
/// <param name="Ids">All tokens.</param>
/// <param name="LossMask">For each token, whether the model is to learn to produce it: the assistant's content and the token that ends its turn.</param>
public sealed record EncodedConversation(int[] Ids, bool[] LossMask)
{
    /// <summary>How many tokens carry loss.</summary>
    public int LearnedTokens => LossMask.Count(learned => learned);
}
