using TrainServe.Inference.Caching;
using TrainServe.Inference.Execution;

namespace TrainServe.Inference.Scheduling;

/// <summary>Which sequence lies in which slot of the cache.</summary>
/// <remarks>
/// Slots from 0 on decode together, without gaps; the slot after them belongs to the one sequence whose prompt is being computed. All others, those beyond the
/// engine's number of sequences included, keep what ended sequences have cached.
/// </remarks>
internal sealed class SlotTable(IModelRunner runner, int slots)
{
    private readonly Sequence[] _decoding = new Sequence[slots];
    private readonly PrefixCache _prefixes = new(runner);
    private int _decodingCount;

    /// <summary>The sequences of the slots from 0 on.</summary>
    public ReadOnlySpan<Sequence> Decoding => _decoding.AsSpan(0, _decodingCount);

    /// <summary>The sequence behind them, if any.</summary>
    public Sequence? Prefilling { get; private set; }

    public bool IsEmpty => _decodingCount == 0 && Prefilling is null;

    /// <summary>There is a slot for another sequence, and none is being prefilled.</summary>
    public bool HasRoom => Prefilling is null && _decodingCount < _decoding.Length;

    /// <summary>Slots from here on belong to no sequence.</summary>
    private int FirstFree => Math.Max(_decodingCount, (Prefilling?.Slot ?? -1) + 1);

    /// <summary>Gives a sequence the next slot, with what another has cached of the same tokens.</summary>
    public void StartPrefill(Sequence sequence)
    {
        int slot = _decodingCount;
        var (donor, length) = Donor(sequence);
        if (_prefixes.Holds(slot) && !(donor == slot && _prefixes.IsWithin(slot, length)))
        {
            int moved = _prefixes.Move(slot, firstFree: slot + 1);
            donor = donor == slot && moved >= 0 ? moved : donor;
        }
        if (length > 0 && donor != slot)
        {
            runner.CopySlot(donor, slot, length);
        }
        _prefixes.Drop(slot);
        sequence.Start(slot, length);
        Prefilling = sequence;
    }

    /// <summary>The prefilling sequence has all its tokens cached and joins the others.</summary>
    public void StartDecoding()
    {
        _decoding[_decodingCount++] = Prefilling!;
        Prefilling = null;
    }

    /// <summary>The sequence whose turn comes after that of all others that run.</summary>
    public Sequence? Last()
    {
        var last = Prefilling;
        foreach (var sequence in Decoding)
        {
            last = last is null || WaitingQueue.IsBefore(last, sequence) ? sequence : last;
        }
        return last;
    }

    /// <summary>Takes a sequence's slot away; what it has cached is kept as long as there is room.</summary>
    public void Suspend(Sequence sequence)
    {
        int slot = sequence.Slot;
        if (ReferenceEquals(sequence, Prefilling))
        {
            Prefilling = null;
            Keep(sequence);
        }
        else
        {
            Leave(slot);
            FollowDecoding();
        }
        sequence.Suspend();
    }

    /// <summary>Frees the slots of sequences that have ended, moves the last ones into the gaps, and says how many were freed.</summary>
    public int FreeEnded()
    {
        int freed = 0;
        if (Prefilling is { HasEnded: true } ended)
        {
            Prefilling = null;
            Keep(ended);
            freed++;
        }
        for (int slot = _decodingCount - 1; slot >= 0; slot--)
        {
            if (_decoding[slot].HasEnded)
            {
                Leave(slot);
                freed++;
            }
        }
        FollowDecoding();
        return freed;
    }

    // The longest beginning of its tokens that lies in any slot, less what must be computed: a chunk has two tokens at least.
    private (int Slot, int Length) Donor(Sequence sequence)
    {
        int most = sequence.UsesPrefixes ? sequence.Tokens.Length - 2 : 0;
        if (most <= 0)
        {
            return (-1, 0);
        }
        var tokens = sequence.Tokens[..most];
        var best = _prefixes.Find(tokens, sequence.Salt);
        if (best.Length > 0)
        {
            _prefixes.Touch(best.Slot);
        }
        foreach (var other in Decoding)
        {
            if (other.Salt == sequence.Salt && other.IsCacheSound && tokens.CommonPrefixLength(other.CachedTokens) is var length && length > best.Length)
            {
                best = (other.Slot, length);
            }
        }
        return best;
    }

    // The last of the decoding sequences closes the gap.
    private void Leave(int slot)
    {
        int last = _decodingCount - 1;
        var leaving = _decoding[slot];
        if (slot == last && Prefilling is null)
        {
            Keep(leaving);
        }
        else if (leaving.IsCacheSound)
        {
            _prefixes.Save(slot, FirstFree, leaving.CachedTokens, leaving.Salt);
        }
        if (slot != last)
        {
            Move(_decoding[last], slot);
            _decoding[slot] = _decoding[last];
        }
        _decoding[last] = null!;
        _decodingCount = last;
    }

    private void Keep(Sequence sequence)
    {
        if (sequence.IsCacheSound)
        {
            _prefixes.Keep(sequence.Slot, sequence.CachedTokens, sequence.Salt);
        }
    }

    private void FollowDecoding()
    {
        if (Prefilling is { } prefilling && prefilling.Slot != _decodingCount)
        {
            Move(prefilling, _decodingCount);
        }
    }

    private void Move(Sequence sequence, int slot)
    {
        runner.CopySlot(sequence.Slot, slot, sequence.Cached);
        sequence.Slot = slot;
    }
}
