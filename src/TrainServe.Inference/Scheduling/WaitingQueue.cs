using System.Runtime.InteropServices;

namespace TrainServe.Inference.Scheduling;

/// <summary>Sequences without a slot: the highest priority first, of one priority in the order of arrival. One that lost its slot keeps its place.</summary>
internal sealed class WaitingQueue
{
    private readonly List<Sequence> _sequences = [];

    public bool IsEmpty => _sequences.Count == 0;

    public void Add(Sequence sequence)
    {
        int place = _sequences.Count;
        while (place > 0 && IsBefore(sequence, _sequences[place - 1]))
        {
            place--;
        }
        _sequences.Insert(place, sequence);
    }

    /// <summary>The one whose turn it is.</summary>
    public Sequence? First => _sequences.Count > 0 ? _sequences[0] : null;

    public void RemoveFirst() => _sequences.RemoveAt(0);

    /// <summary>Takes out those that have ended, and hands each to the caller.</summary>
    public void RemoveEnded(Action<Sequence> onRemoved)
    {
        for (int i = _sequences.Count - 1; i >= 0; i--)
        {
            if (_sequences[i].HasEnded)
            {
                onRemoved(_sequences[i]);
                _sequences.RemoveAt(i);
            }
        }
    }

    public ReadOnlySpan<Sequence> All => CollectionsMarshal.AsSpan(_sequences);

    /// <summary>Whether one sequence has its turn before another.</summary>
    public static bool IsBefore(Sequence one, Sequence other) => one.Priority != other.Priority ? one.Priority > other.Priority : one.Order < other.Order;
}
