using System.Numerics;

namespace TrainServe.Core.Sampling;

/// <summary>The worst token that is kept: it, all with a larger logit, and of those with the same logit the ones with lower ids.</summary>
internal readonly record struct Cut(float Logit, int Id)
{
    /// <summary>Keeps every token that is not forbidden.</summary>
    public static Cut None => new(float.MinValue, int.MaxValue);

    public static Cut At(TopTokens tokens, int index) => new(tokens.Values[index], tokens.Ids[index]);

    /// <summary>Writes the ids of the tokens that are kept, in their order, and says how many they are.</summary>
    public int Gather(ReadOnlySpan<float> logits, Span<int> ids)
    {
        int count = 0, id = 0, width = Vector<float>.Count;
        var threshold = new Vector<float>(Logit);
        for (; id + width <= logits.Length; id += width)
        {
            if (Vector.GreaterThanOrEqualAny(new Vector<float>(logits.Slice(id, width)), threshold))
            {
                for (int i = id; i < id + width; i++)
                {
                    Add(logits[i], i, ids, ref count);
                }
            }
        }
        for (; id < logits.Length; id++)
        {
            Add(logits[id], id, ids, ref count);
        }
        return count;
    }

    private void Add(float logit, int id, Span<int> ids, ref int count)
    {
        if (logit > Logit || (logit == Logit && id <= Id))
        {
            ids[count++] = id;
        }
    }
}
