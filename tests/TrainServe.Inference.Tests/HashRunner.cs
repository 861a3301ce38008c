using TrainServe.Core.Random;
using TrainServe.Inference.Execution;

namespace TrainServe.Inference.Tests;

/// <summary>A runner whose logits are a hash of all tokens in a slot, so that a token too many, too few or in another's slot shows at once.</summary>
/// <remarks>It holds the engine to the rules of the cache: no gaps, no wrong length, no chunk of one token of a longer prompt.</remarks>
internal sealed class HashRunner(int vocabSize, int slots, int contextLength) : IModelRunner
{
    public const int HiddenSize = 16;
    private readonly List<int>[] _cache = [.. Enumerable.Range(0, slots).Select(_ => new List<int>())];
    private readonly float[] _logits = new float[Math.Max(slots, contextLength) * vocabSize];

    public int VocabSize => vocabSize;
    public int Slots => slots;
    public int ContextLength => contextLength;
    public bool GivesHidden => true;
    public bool IsDisposed { get; private set; }

    /// <summary>Whether wrong guesses may lie behind a slot's length.</summary>
    public bool MayHoldGuesses { get; init; }

    public int Steps { get; private set; }

    /// <summary>What was run, in order: new tokens of a prefill, or 0 for a decode step.</summary>
    public List<int> Log { get; } = [];

    /// <summary>Called on the engine's thread before each prefill or decode with the number of slots in it; may throw or wait.</summary>
    public Action<int> BeforeStep { get; set; } = _ => { };

    /// <summary>May spoil the logits that a sequence gets: its tokens so far, its logits.</summary>
    public Action<IReadOnlyList<int>, Span<float>> Spoil { get; set; } = (_, _) => { };

    /// <summary>What greedy decoding of a prompt must give.</summary>
    public static int[] Continue(int vocabSize, ReadOnlySpan<int> prompt, int count)
    {
        var ids = new List<int>([.. prompt]);
        var logits = new float[vocabSize];
        for (int i = 0; i < count; i++)
        {
            Fill(ids, logits);
            ids.Add(Array.IndexOf(logits, logits.Max()));
        }
        return [.. ids.Skip(prompt.Length)];
    }

    public ReadOnlySpan<float> Prefill(int slot, int start, ReadOnlySpan<int> ids, bool allLogits)
    {
        Step(1);
        Log.Add(ids.Length);
        Check(start <= _cache[slot].Count, "A prefill starts after the end of its slot.");
        Check(ids.Length > 1 || start == 0, "A chunk of one token follows another.");
        Check(start + ids.Length <= contextLength, "A slot overflows.");
        _cache[slot].RemoveRange(start, _cache[slot].Count - start);
        if (!allLogits)
        {
            _cache[slot].AddRange(ids);
            return Logits(slot, 0);
        }
        for (int row = 0; row < ids.Length; row++)
        {
            _cache[slot].Add(ids[row]);
            Logits(slot, row);
        }
        return _logits.AsSpan(0, ids.Length * vocabSize);
    }

    // As wide as a tiny model: each state holds the number of its token.
    public ReadOnlySpan<float> PrefillHidden(int slot, int start, ReadOnlySpan<int> ids)
    {
        Prefill(slot, start, ids, allLogits: false);
        return (float[])[.. ids.ToArray().SelectMany(id => Enumerable.Repeat((float)id, HiddenSize))];
    }

    public ReadOnlySpan<float> Decode(ReadOnlySpan<int> ids, ReadOnlySpan<int> lengths)
    {
        Step(ids.Length);
        Log.Add(0);
        for (int slot = 0; slot < ids.Length; slot++)
        {
            Check(lengths[slot] == _cache[slot].Count || (MayHoldGuesses && lengths[slot] < _cache[slot].Count), "A decode step has the wrong length.");
            Check(lengths[slot] < contextLength, "A slot overflows.");
            _cache[slot].RemoveRange(lengths[slot], _cache[slot].Count - lengths[slot]);
            _cache[slot].Add(ids[slot]);
            Logits(slot, slot);
        }
        return _logits.AsSpan(0, ids.Length * vocabSize);
    }

    public void CopySlot(int from, int to, int tokens)
    {
        Check(tokens <= _cache[from].Count, "More is copied than there is.");
        int[] copied = [.. _cache[from].Take(tokens)];
        _cache[to].Clear();
        _cache[to].AddRange(copied);
    }

    public void Dispose() => IsDisposed = true;

    private void Step(int rows)
    {
        Steps++;
        BeforeStep(rows);
    }

    private Span<float> Logits(int slot, int row)
    {
        var logits = _logits.AsSpan(row * vocabSize, vocabSize);
        Fill(_cache[slot], logits);
        Spoil(_cache[slot], logits);
        return logits;
    }

    // FNV-1a over the tokens keys the generator.
    private static void Fill(IReadOnlyList<int> ids, Span<float> logits)
    {
        ulong hash = 14695981039346656037;
        foreach (int id in ids)
        {
            hash = (hash ^ (uint)id) * 1099511628211;
        }
        var random = new PhiloxRandom(hash);
        foreach (ref float logit in logits)
        {
            logit = 4 * random.NextSingle();
        }
    }

    private static void Check(bool holds, string rule)
    {
        if (!holds)
        {
            throw new InvalidOperationException(rule);
        }
    }
}
