using System.Numerics;

namespace TrainServe.Core.Sampling;

/// <summary>Finds the largest logits without sorting the vocabulary: one pass against a rising threshold, candidates in a heap.</summary>
/// <remarks>Among equal logits the lower id comes first. Not safe for use from several threads.</remarks>
internal sealed class TopTokens
{
    // A binary heap with the worst candidate on top.
    private float[] _values = new float[64];
    private int[] _ids = new int[64];
    private int _count;

    /// <summary>Candidates, best first.</summary>
    public ReadOnlySpan<float> Values => _values.AsSpan(0, _count);
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, _count);

    /// <summary>Takes the <paramref name="count"/> largest.</summary>
    public void Take(ReadOnlySpan<float> logits, int count)
    {
        count = Math.Min(count, logits.Length);
        if (_values.Length < count)
        {
            (_values, _ids) = (new float[count], new int[count]);
        }
        _count = 0;
        if (count == 0)
        {
            return;
        }
        int id = 0;
        for (; id < count; id++)
        {
            Push(logits[id], id);
        }
        int width = Vector<float>.Count;
        var threshold = new Vector<float>(_values[0]);
        for (; id + width <= logits.Length; id += width)
        {
            if (!Vector.GreaterThanAny(new Vector<float>(logits.Slice(id, width)), threshold))
            {
                continue;
            }
            for (int i = id; i < id + width; i++)
            {
                Replace(logits[i], i);
            }
            threshold = new Vector<float>(_values[0]);
        }
        for (; id < logits.Length; id++)
        {
            Replace(logits[id], id);
        }
        SortBestFirst();
    }

    // A later id that is only equal never displaces an earlier one.
    private void Replace(float value, int id)
    {
        if (value > _values[0])
        {
            (_values[0], _ids[0]) = (value, id);
            Sink(0, _count);
        }
    }

    private void Push(float value, int id)
    {
        int at = _count++;
        (_values[at], _ids[at]) = (value, id);
        while (at > 0 && Worse(at, (at - 1) / 2))
        {
            Swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    private void SortBestFirst()
    {
        for (int end = _count - 1; end > 0; end--)
        {
            Swap(0, end);
            Sink(0, end);
        }
    }

    private void Sink(int at, int count)
    {
        while (true)
        {
            int worst = at, left = 2 * at + 1;
            for (int child = left; child < Math.Min(left + 2, count); child++)
            {
                if (Worse(child, worst))
                {
                    worst = child;
                }
            }
            if (worst == at)
            {
                return;
            }
            Swap(at, worst);
            at = worst;
        }
    }

    private bool Worse(int a, int b) => _values[a] < _values[b] || (_values[a] == _values[b] && _ids[a] > _ids[b]);

    private void Swap(int a, int b)
    {
        (_values[a], _values[b]) = (_values[b], _values[a]);
        (_ids[a], _ids[b]) = (_ids[b], _ids[a]);
    }
}
