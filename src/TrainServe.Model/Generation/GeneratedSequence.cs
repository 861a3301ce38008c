namespace TrainServe.Model.Generation;

/// <summary>What a model wrote after a prompt.</summary>
/// <param name="Ids">The chosen tokens; the last is the stop token if one was chosen.</param>
/// <param name="LogProbs">Natural log of each token's probability under the model's own distribution, before temperature and filters.</param>
/// <param name="Stopped">A stop token was chosen; otherwise the most tokens or the context were reached.</param>
public sealed record GeneratedSequence(int[] Ids, float[] LogProbs, bool Stopped)
{
    /// <summary>The tokens without the one that stopped it.</summary>
    public int[] ContentIds => Stopped ? Ids[..^1] : Ids;
}
