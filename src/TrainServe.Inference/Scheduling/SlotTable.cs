using TrainServe.Inference.Execution;

namespace TrainServe.Inference.Scheduling;

/// <summary>Which sequence lies in which slot of the cache.</summary>
/// <remarks>Slots from 0 on decode together, without gaps; the slot after them belongs to the one sequence whose prompt is being computed.</remarks>
internal sealed class SlotTable(IModelRunner runner, int slots)
{
    private readonly Sequence[] _decoding = new Sequence[slots];
    private int _decodingCount;

    /// <summary>The sequences of the slots from 0 on.</summary>
    public ReadOnlySpan<Sequence> Decoding => _decoding.AsSpan(0, _decodingCount);

    /// <summary>The sequence behind them, if any.</summary>
    public Sequence? Prefilling { get; private set; }

    public bool IsEmpty => _decodingCount == 0 && Prefilling is null;

    /// <summary>There is a slot for another sequence, and none is being prefilled.</summary>
    public bool HasRoom => Prefilling is null && _decodingCount < _decoding.Length;

    public void StartPrefill(Sequence sequence)
    {
        sequence.Slot = _decodingCount;
        Prefilling = sequence;
    }

    /// <summary>The prefilling sequence has its whole prompt cached and joins the others.</summary>
    public void StartDecoding()
    {
        _decoding[_decodingCount++] = Prefilling!;
        Prefilling = null;
    }

    /// <summary>Frees the slots of sequences that have ended, moves the last ones into the gaps, and says how many were freed.</summary>
    public int FreeEnded()
    {
        int freed = 0;
        for (int slot = _decodingCount - 1; slot >= 0; slot--)
        {
            if (_decoding[slot].HasEnded)
            {
                CloseGap(slot);
                freed++;
            }
        }
        if (Prefilling is { HasEnded: true })
        {
            Prefilling = null;
            freed++;
        }
        if (Prefilling is { } prefilling && prefilling.Slot != _decodingCount)
        {
            Move(prefilling, _decodingCount);
        }
        return freed;
    }

    private void CloseGap(int slot)
    {
        int last = _decodingCount - 1;
        if (slot != last)
        {
            Move(_decoding[last], slot);
            _decoding[slot] = _decoding[last];
        }
        _decoding[last] = null!;
        _decodingCount = last;
    }

    private void Move(Sequence sequence, int slot)
    {
        runner.CopySlot(sequence.Slot, slot, sequence.Cached);
        sequence.Slot = slot;
    }
}
