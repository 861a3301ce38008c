using TrainServe.Inference.Execution;

namespace TrainServe.Inference.Caching;

/// <summary>Keeps what ended sequences have cached, in slots that no sequence uses, so that a later prompt which begins alike need not be computed again.</summary>
/// <remarks>
/// It lives and dies with an engine, and so with one version of the weights. Entries are found by callers of the same salt only. Where there is no room the entry that
/// was used least recently goes.
/// </remarks>
internal sealed class PrefixCache(IModelRunner runner)
{
    // Shorter ones cost about as much to copy as to compute.
    private const int Shortest = 8;
    private readonly Entry?[] _entries = new Entry?[runner.Slots];
    private long _clock;

    /// <summary>Slots that hold something.</summary>
    public int Count => _entries.Count(entry => entry is not null);

    /// <summary>The slot that holds the longest beginning of these tokens, and its length; length 0 where there is none.</summary>
    public (int Slot, int Length) Find(ReadOnlySpan<int> tokens, string? salt)
    {
        (int Slot, int Length) best = (-1, 0);
        for (int slot = 0; slot < _entries.Length; slot++)
        {
            if (_entries[slot] is { } entry && entry.Salt == salt && tokens.CommonPrefixLength(entry.Tokens) is var length && length > best.Length)
            {
                best = (slot, length);
            }
        }
        return best;
    }

    public void Touch(int slot) => _entries[slot]!.Used = ++_clock;

    /// <summary>Whether a slot's entry ends within its first tokens, so that who takes the slot over loses nothing.</summary>
    public bool IsWithin(int slot, int tokens) => _entries[slot] is { } entry && entry.Tokens.Length <= tokens;

    public bool Holds(int slot) => _entries[slot] is not null;

    /// <summary>Forgets what a slot holds.</summary>
    public void Drop(int slot) => _entries[slot] = null;

    /// <summary>Keeps a slot that its sequence leaves, where it is.</summary>
    public void Keep(int slot, ReadOnlySpan<int> tokens, string? salt)
    {
        if (tokens.Length >= Shortest && !IsKnown(tokens, salt))
        {
            DropBeginnings(tokens, salt, except: slot);
            _entries[slot] = new Entry(tokens.ToArray(), salt) { Used = ++_clock };
        }
    }

    /// <summary>Copies what a sequence has cached into another slot, where one can be had.</summary>
    /// <param name="from">The sequence's slot.</param>
    /// <param name="firstFree">Slots from here on belong to no sequence.</param>
    /// <param name="tokens">What it has cached.</param>
    /// <param name="salt">Of its caller.</param>
    public void Save(int from, int firstFree, ReadOnlySpan<int> tokens, string? salt)
    {
        if (tokens.Length < Shortest || IsKnown(tokens, salt))
        {
            return;
        }
        DropBeginnings(tokens, salt, except: -1);
        int to = Place(firstFree, except: from, olderThan: long.MaxValue);
        if (to >= 0)
        {
            runner.CopySlot(from, to, tokens.Length);
            _entries[to] = new Entry(tokens.ToArray(), salt) { Used = ++_clock };
        }
    }

    /// <summary>Moves a slot's entry to a free slot, or over an older entry.</summary>
    /// <returns>Where it is now; -1 if there is no such slot, and then it stays.</returns>
    public int Move(int slot, int firstFree)
    {
        var entry = _entries[slot]!;
        int to = Place(firstFree, except: slot, olderThan: entry.Used);
        if (to >= 0)
        {
            runner.CopySlot(slot, to, entry.Tokens.Length);
            (_entries[to], _entries[slot]) = (entry, null);
        }
        return to;
    }

    private bool IsKnown(ReadOnlySpan<int> tokens, string? salt)
    {
        var (slot, length) = Find(tokens, salt);
        if (length < tokens.Length)
        {
            return false;
        }
        Touch(slot);
        return true;
    }

    // What the new entry begins with can be found in it.
    private void DropBeginnings(ReadOnlySpan<int> tokens, string? salt, int except)
    {
        for (int slot = 0; slot < _entries.Length; slot++)
        {
            if (slot != except && _entries[slot] is { } entry && entry.Salt == salt && tokens.StartsWith(entry.Tokens))
            {
                _entries[slot] = null;
            }
        }
    }

    private int Place(int firstFree, int except, long olderThan)
    {
        int oldest = -1;
        // From the end, where sequences come last.
        for (int slot = _entries.Length - 1; slot >= firstFree; slot--)
        {
            if (slot == except)
            {
                continue;
            }
            if (_entries[slot] is not { } entry)
            {
                return slot;
            }
            if (entry.Used < olderThan)
            {
                (oldest, olderThan) = (slot, entry.Used);
            }
        }
        return oldest;
    }

    private sealed class Entry(int[] tokens, string? salt)
    {
        public int[] Tokens { get; } = tokens;
        public string? Salt { get; } = salt;
        public long Used { get; set; }
    }
}
