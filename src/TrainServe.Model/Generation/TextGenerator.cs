using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using TorchSharp;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using static TorchSharp.torch;

namespace TrainServe.Model.Generation;

// B batch, T time, C width, V vocabulary.

/// <summary>Continues prompts with a cache of keys and values: one pass over the prompts, then one token of each row a pass.</summary>
/// <remarks>Prompts of different length are padded on the left, so that all rows end together; padding is masked, and positions count from each row's first token.</remarks>
public sealed class TextGenerator
{
    private readonly Transformer _model;
    private readonly TokenSampler _sampler;

    /// <param name="model">A language model; dropout is off while it generates.</param>
    /// <exception cref="ArgumentException">The model is a reward model.</exception>
    public TextGenerator(Transformer model)
    {
        _model = model.Score is null ? model : throw new ArgumentException("A reward model cannot generate text.", nameof(model));
        _sampler = new TokenSampler(model.Config.VocabSize);
    }

    /// <summary>Continues one prompt.</summary>
    /// <inheritdoc cref="GenerateBatch"/>
    public GeneratedSequence Generate(IReadOnlyList<int> prompt, int maxNewTokens, SamplingParameters sampling, IReadOnlyCollection<int>? stopTokenIds = null, CancellationToken cancellation = default) =>
        GenerateBatch([prompt], maxNewTokens, sampling, stopTokenIds, cancellation: cancellation)[0];

    /// <summary>Continues several prompts at once.</summary>
    /// <param name="prompts">Token ids, at least one in each.</param>
    /// <param name="maxNewTokens">Most tokens of an answer; fewer where the context ends.</param>
    /// <param name="sampling">For all rows. Row r draws with its own numbers, made from the seed and r, so that equal prompts get different answers.</param>
    /// <param name="stopTokenIds">Tokens that end an answer; none when null.</param>
    /// <param name="firstRow">The number of the first row, for the draws: rows that are generated in portions draw as they would together.</param>
    /// <param name="cancellation">Looked at before each token.</param>
    /// <exception cref="ArgumentException">A prompt is empty, fills the context, or has an id outside the vocabulary; or a sampling parameter is outside its range.</exception>
    public IReadOnlyList<GeneratedSequence> GenerateBatch(IReadOnlyList<IReadOnlyList<int>> prompts, int maxNewTokens, SamplingParameters sampling, IReadOnlyCollection<int>? stopTokenIds = null, int firstRow = 0, CancellationToken cancellation = default)
    {
        Check(prompts, maxNewTokens, sampling);
        int longest = prompts.Max(prompt => prompt.Count);
        int most = Math.Min(maxNewTokens, _model.Config.MaxPositionEmbeddings - longest);
        ulong seed = sampling.Seed ?? BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(8));
        var rows = prompts.Select((prompt, row) => new Row(prompt, sampling, RowSeed(seed, firstRow + row))).ToArray();
        bool wasTraining = _model.training;
        _model.eval();
        try
        {
            using var noGradient = no_grad();
            using var scope = NewDisposeScope();
            Run(rows, longest, most, sampling, [.. stopTokenIds ?? []], cancellation);
        }
        finally
        {
            _model.train(wasTraining);
        }
        return [.. rows.Select(row => row.Finished())];
    }

    // Equal prompts, as those of a group of answers, are read once; rows that have stopped are left out when they are the half of all.
    private void Run(Row[] rows, int longest, int most, SamplingParameters sampling, HashSet<int> stops, CancellationToken cancellation)
    {
        if (most == 0)
        {
            return;
        }
        var (readers, readerOf) = DistinctPrompts(rows);
        using var cache = new TorchKvCache(_model.Config, readers.Length, longest + most, _model.Dtype, _model.Device);
        var paddingB = readers.All(row => row.Prompt.Count == longest)
            ? null
            : tensor([.. readers.Select(row => (long)(longest - row.Prompt.Count))], ScalarType.Int64, _model.Device);
        cancellation.ThrowIfCancellationRequested();
        var logitsBV = NextLogits(Ids(readers.SelectMany(row => Enumerable.Repeat(0L, longest - row.Prompt.Count).Concat(row.Prompt.Select(id => (long)id))), readers.Length), paddingB, cache);
        if (readers.Length < rows.Length)
        {
            (logitsBV, paddingB) = (Picked(logitsBV, readerOf)!, Picked(paddingB, readerOf));
            cache.Pick(readerOf);
        }
        for (int position = 0; ; position++)
        {
            Choose(rows, logitsBV, position, sampling, stops);
            logitsBV.Dispose();
            int[] running = [.. Enumerable.Range(0, rows.Length).Where(row => !rows[row].Stopped)];
            if (running.Length == 0 || position == most - 1)
            {
                return;
            }
            if (2 * running.Length <= rows.Length)
            {
                (rows, paddingB) = ([.. running.Select(row => rows[row])], Picked(paddingB, running));
                cache.Pick(running);
            }
            cancellation.ThrowIfCancellationRequested();
            // A row that has stopped goes along; what it computes is not used.
            using var idsBT = Ids(rows.Select(row => (long)row.Last), rows.Length);
            logitsBV = NextLogits(idsBT, paddingB, cache);
        }
    }

    // The first row of each prompt, and for each row which of those has its prompt.
    private static (Row[] Readers, int[] ReaderOf) DistinctPrompts(Row[] rows)
    {
        var numbers = new Dictionary<IReadOnlyList<int>, int>(PromptComparer.Instance);
        var readers = new List<Row>();
        int[] readerOf = new int[rows.Length];
        for (int row = 0; row < rows.Length; row++)
        {
            if (!numbers.TryGetValue(rows[row].Prompt, out readerOf[row]))
            {
                readerOf[row] = readers.Count;
                numbers.Add(rows[row].Prompt, readers.Count);
                readers.Add(rows[row]);
            }
        }
        return ([.. readers], readerOf);
    }

    private Tensor Ids(IEnumerable<long> ids, int rows)
    {
        long[] all = [.. ids];
        return tensor(all, [rows, all.Length / rows], ScalarType.Int64, _model.Device);
    }

    private static Tensor? Picked(Tensor? valuesB, int[] rows)
    {
        if (valuesB is null)
        {
            return null;
        }
        using var places = tensor([.. rows.Select(row => (long)row)], ScalarType.Int64, valuesB.device);
        return valuesB.index_select(0, places);
    }

    /// <returns>Logits of the token that follows each row, [B, V].</returns>
    private Tensor NextLogits(Tensor idsBT, Tensor? paddingB, TorchKvCache cache)
    {
        using var scope = NewDisposeScope();
        long time = idsBT.shape[1], end = cache.Length + time;
        Tensor? positionsBT = null, mask = null;
        if (paddingB is not null)
        {
            positionsBT = (LiveScalar.Range(cache.Length, end, _model.Device).unsqueeze(0) - paddingB.unsqueeze(1)).clamp(min: LiveScalar.Of(0));
            mask = AttentionMask.LeftPadded(paddingB, time, end);
        }
        var hiddenBTC = _model.Hidden(idsBT, positionsBT, mask, cache);
        return _model.Head(hiddenBTC.select(1, time - 1)).to(ScalarType.Float32).cpu().contiguous().MoveToOuterDisposeScope();
    }

    private void Choose(Row[] rows, Tensor logitsBV, int position, SamplingParameters sampling, HashSet<int> stops)
    {
        int width = (int)logitsBV.shape[1];
        var logits = MemoryMarshal.Cast<byte, float>(logitsBV.bytes);
        for (int row = 0; row < rows.Length; row++)
        {
            if (!rows[row].Stopped)
            {
                var chosen = _sampler.Sample(logits.Slice(row * width, width), sampling, rows[row].History, rows[row].Seed, position);
                rows[row].Add(chosen, stops.Contains(chosen.Id));
            }
        }
    }

    private void Check(IReadOnlyList<IReadOnlyList<int>> prompts, int maxNewTokens, SamplingParameters sampling)
    {
        ArgumentOutOfRangeException.ThrowIfZero(prompts.Count, nameof(prompts));
        ArgumentOutOfRangeException.ThrowIfNegative(maxNewTokens);
        var config = _model.Config;
        sampling.Validated(config.VocabSize);
        if (sampling.TopLogProbs > 0)
        {
            throw new ArgumentException("TopLogProbs must be 0: this generator reports no alternatives.", nameof(sampling));
        }
        foreach (var prompt in prompts)
        {
            if (prompt.Count == 0)
            {
                throw new ArgumentException("The prompt has no tokens; it needs at least one to continue.", nameof(prompts));
            }
            if (prompt.Count >= config.MaxPositionEmbeddings)
            {
                throw new ArgumentException($"The prompt has {prompt.Count} tokens; the model's context of {config.MaxPositionEmbeddings} leaves no room for an answer.", nameof(prompts));
            }
            foreach (int id in prompt)
            {
                if (id < 0 || id >= config.VocabSize)
                {
                    throw new ArgumentException($"The prompt holds the token {id}; the vocabulary has 0 to {config.VocabSize - 1}.", nameof(prompts));
                }
            }
        }
    }

    // A single prompt draws with the seed itself, as the serving engine does.
    private static ulong RowSeed(ulong seed, int row) => row == 0 ? seed : new PhiloxRandom(seed, stream: (ulong)row).NextUInt64();

    private sealed class PromptComparer : IEqualityComparer<IReadOnlyList<int>>
    {
        public static PromptComparer Instance { get; } = new();

        public bool Equals(IReadOnlyList<int>? x, IReadOnlyList<int>? y) => ReferenceEquals(x, y) || (x is not null && y is not null && x.SequenceEqual(y));

        public int GetHashCode(IReadOnlyList<int> prompt)
        {
            var hash = new HashCode();
            foreach (int id in prompt)
            {
                hash.Add(id);
            }
            return hash.ToHashCode();
        }
    }

    private sealed class Row(IReadOnlyList<int> prompt, SamplingParameters sampling, ulong seed)
    {
        private readonly List<int> _ids = [];
        private readonly List<float> _logProbs = [];

        public IReadOnlyList<int> Prompt => prompt;
        public ulong Seed => seed;
        public TokenHistory? History { get; } = sampling.NeedsHistory ? new TokenHistory([.. prompt]) : null;
        public bool Stopped { get; private set; }
        public int Last => _ids[^1];

        public void Add(TokenLogProb token, bool stops)
        {
            _ids.Add(token.Id);
            _logProbs.Add(token.LogProb);
            History?.Add(token.Id);
            Stopped = stops;
        }

        public GeneratedSequence Finished() => new([.. _ids], [.. _logProbs], Stopped);
    }
}
