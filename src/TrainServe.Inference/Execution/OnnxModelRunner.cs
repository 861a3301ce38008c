using Microsoft.ML.OnnxRuntime;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Inference.Kernels;

namespace TrainServe.Inference.Execution;

/// <summary>Runs an exported graph with ONNX Runtime on a cache of fixed slots.</summary>
/// <remarks>For use by one thread at a time. A step allocates nothing once its shape was used before.</remarks>
public sealed class OnnxModelRunner : IModelRunner
{
    private readonly InferenceSession _session;
    private readonly RunOptions _runOptions = new();
    private readonly KvArena _arena;
    private readonly StepBuffers _buffers;
    private readonly StepBinding?[] _prefill, _hidden, _decode;
    private readonly string _output;
    private readonly int _outputWidth, _hiddenSize;

    private OnnxModelRunner(InferenceSession session, ModelConfig config, RunnerOptions options)
    {
        (_session, Device, VocabSize, Slots, ContextLength) = (session, options.Device, config.VocabSize, options.Slots, options.ContextLength);
        (_prefill, _hidden, _decode) = (new StepBinding?[Slots], new StepBinding?[Slots], new StepBinding?[Slots + 1]);
        (_output, _outputWidth, _hiddenSize) = config.IsRewardModel ? (GraphNames.Score, 1, config.HiddenSize) : (GraphNames.Logits, VocabSize, config.HiddenSize);
        var cache = session.InputMetadata[GraphNames.PastKey(0)];
        _arena = new KvArena(options.Device, config.NumHiddenLayers, Slots, config.NumKeyValueHeads, ContextLength, cache.Dimensions[^1], cache.ElementDataType);
        _buffers = new StepBuffers(Slots, ContextLength, Math.Max(_outputWidth, _hiddenSize));
    }

    /// <summary>V</summary>
    public int VocabSize { get; }

    /// <summary>Sequences that can be cached at the same time.</summary>
    public int Slots { get; }

    /// <summary>Tokens that a slot can hold.</summary>
    public int ContextLength { get; }

    /// <inheritdoc/>
    public bool GivesHidden => _session.OutputMetadata.ContainsKey(GraphNames.Hidden);

    /// <summary>Whether keys and values are cached in eight bits each; then a token's logits are the same however it was computed.</summary>
    public bool HasEightBitCache => _arena.IsEightBit;

    /// <summary>What computes.</summary>
    public InferenceDevice Device { get; }

    /// <summary>Bytes of the key-value cache.</summary>
    public long CacheSizeBytes => _arena.SizeBytes;

    /// <exception cref="FileNotFoundException">The graph or its data is missing.</exception>
    /// <exception cref="InvalidDataException">The graph names a file outside its directory, does not fit the config, or cannot be loaded.</exception>
    /// <exception cref="ArgumentException">An option is out of its range, or the cache does not fit into memory; the message says what to lower.</exception>
    public static OnnxModelRunner Open(string graphPath, ModelConfig config, RunnerOptions options)
    {
        RequireRange(nameof(options.Slots), options.Slots, 1, int.MaxValue);
        RequireRange(nameof(options.ContextLength), options.ContextLength, 1, config.MaxPositionEmbeddings);
        ExternalDataCheck.Verify(graphPath);
        using var sessionOptions = NewSessionOptions(options);
        InferenceSession? session = null;
        try
        {
            session = KernelDomain.Open(sessionOptions, opened => new InferenceSession(graphPath, opened));
            NativeHeap.Trim();
            RequireShape(session, config, graphPath);
            return new OnnxModelRunner(session, config, options);
        }
        catch (OnnxRuntimeException error)
        {
            session?.Dispose();
            throw new InvalidDataException($"{graphPath} cannot be loaded: {error.Message}", error);
        }
        catch
        {
            session?.Dispose();
            throw;
        }
    }

    /// <inheritdoc cref="IModelRunner.Prefill"/>
    /// <remarks>A reward model gives scores in place of logits, one number for each wanted token.</remarks>
    public ReadOnlySpan<float> Prefill(int slot, int start, ReadOnlySpan<int> ids, bool allLogits)
    {
        int rows = allLogits ? ids.Length : 1;
        PreparePrefill(slot, start, ids, rows);
        var binding = _prefill[slot] ??= new StepBinding(_session, _arena, _buffers, slot, rows: 1, _output, _outputWidth);
        binding.Run(_session, _runOptions, ids.Length, rows);
        return _buffers.Logits.Span(checked(rows * _outputWidth));
    }

    /// <inheritdoc cref="IModelRunner.PrefillHidden"/>
    public ReadOnlySpan<float> PrefillHidden(int slot, int start, ReadOnlySpan<int> ids)
    {
        PreparePrefill(slot, start, ids, ids.Length);
        var binding = _hidden[slot] ??= new StepBinding(_session, _arena, _buffers, slot, rows: 1, GraphNames.Hidden, _hiddenSize);
        binding.Run(_session, _runOptions, ids.Length, ids.Length);
        return _buffers.Logits.Span(checked(ids.Length * _hiddenSize));
    }

    /// <inheritdoc cref="IModelRunner.Decode"/>
    public ReadOnlySpan<float> Decode(ReadOnlySpan<int> ids, ReadOnlySpan<int> lengths)
    {
        int rows = ids.Length;
        RequireRange(nameof(ids), rows, 1, Slots);
        RequireRange(nameof(lengths), lengths.Length, rows, rows);
        CopyIds(ids);
        var sequenceLengths = _buffers.SequenceLengths.Span(rows);
        var wanted = _buffers.LogitIndex.Span(rows);
        int longest = 0;
        for (int row = 0; row < rows; row++)
        {
            RequireRange(nameof(lengths), lengths[row], 0, ContextLength - 1);
            longest = Math.Max(longest, lengths[row]);
            (sequenceLengths[row], wanted[row]) = (lengths[row], row);
        }
        _buffers.TotalLength.Span(1)[0] = longest + 1;
        var binding = _decode[rows] ??= new StepBinding(_session, _arena, _buffers, firstSlot: 0, rows, _output, _outputWidth);
        binding.Run(_session, _runOptions, newTokens: 1, rows);
        return _buffers.Logits.Span(checked(rows * _outputWidth));
    }

    /// <inheritdoc/>
    public void CopySlot(int from, int to, int tokens)
    {
        RequireRange(nameof(from), from, 0, Slots - 1);
        RequireRange(nameof(to), to, 0, Slots - 1);
        RequireRange(nameof(tokens), tokens, 0, ContextLength);
        _arena.Copy(from, to, tokens);
    }

    /// <summary>The largest absolute value of a layer's cached keys and values in each place of each head, [K*D], over the first tokens of a slot.</summary>
    /// <exception cref="InvalidOperationException">The cache is not in single precision.</exception>
    public (float[] Keys, float[] Values) LargestCached(int layer, int slot, int tokens) => _arena.LargestValues(layer, slot, tokens);

    public void Dispose()
    {
        foreach (var binding in _prefill.Concat(_hidden).Concat(_decode))
        {
            binding?.Dispose();
        }
        _runOptions.Dispose();
        _session.Dispose();
        _buffers.Dispose();
        _arena.Dispose();
    }

    private static SessionOptions NewSessionOptions(RunnerOptions runner)
    {
        OnnxRuntimeLibrary.Load();
        var options = new SessionOptions
        {
            IntraOpNumThreads = runner.Threads == 0 ? Environment.ProcessorCount : runner.Threads,
            InterOpNumThreads = 1,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL,
            // Plans of memory are kept for each shape; chunks come in many.
            EnableMemoryPattern = false,
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR,
        };
        // Long enough to bridge two nodes, short enough to leave the cores to others between steps.
        options.AddSessionConfigEntry("session.intra_op.spin_duration_us", "1000");
        // Without VNNI instructions sums of signed with unsigned bytes would saturate at 16 bits.
        options.AddSessionConfigEntry("session.x64quantprecision", "1");
        runner.Device.AppendTo(options);
        return options;
    }

    private static void RequireShape(InferenceSession session, ModelConfig config, string graphPath)
    {
        var inputs = session.InputMetadata;
        int layers = Enumerable.Range(0, inputs.Count).TakeWhile(layer => inputs.ContainsKey(GraphNames.PastKey(layer))).Count();
        if (layers != config.NumHiddenLayers || inputs[GraphNames.PastKey(0)].Dimensions[1] != config.NumKeyValueHeads)
        {
            throw new InvalidDataException($"{graphPath} was not exported from a model of this shape: it has {layers} layers where config.json says {config.NumHiddenLayers}, or other key-value heads.");
        }
        if (config.IsRewardModel)
        {
            if (!session.OutputMetadata.ContainsKey(GraphNames.Score))
            {
                throw new InvalidDataException($"{graphPath} gives no score, and config.json is that of a reward model.");
            }
        }
        else if (!session.OutputMetadata.TryGetValue(GraphNames.Logits, out var logits) || logits.Dimensions[^1] != config.VocabSize)
        {
            throw new InvalidDataException($"{graphPath} does not give logits over the {config.VocabSize} tokens of config.json.");
        }
    }

    private void PreparePrefill(int slot, int start, ReadOnlySpan<int> ids, int rows)
    {
        RequireRange(nameof(slot), slot, 0, Slots - 1);
        RequireRange(nameof(start), start, 0, ContextLength - 1);
        RequireRange(nameof(ids), ids.Length, 1, ContextLength - start);
        CopyIds(ids);
        int total = start + ids.Length;
        // The kernel wants the index of the last valid token, not their number.
        _buffers.SequenceLengths.Span(1)[0] = total - 1;
        _buffers.TotalLength.Span(1)[0] = total;
        _buffers.RequireLogitRows(rows);
        var wanted = _buffers.LogitIndex.Span(rows);
        for (int row = 0; row < rows; row++)
        {
            wanted[row] = ids.Length - rows + row;
        }
    }

    private void CopyIds(ReadOnlySpan<int> ids)
    {
        var target = _buffers.Ids.Span(ids.Length);
        for (int i = 0; i < ids.Length; i++)
        {
            if ((uint)ids[i] >= (uint)VocabSize)
            {
                throw new ArgumentOutOfRangeException(nameof(ids), $"Token {ids[i]} is not in the vocabulary of {VocabSize}.");
            }
            target[i] = ids[i];
        }
    }

    private static void RequireRange(string name, int value, int least, int most)
    {
        if (value < least || value > most)
        {
            throw new ArgumentOutOfRangeException(name, $"{name} is {value}; it must be from {least} to {most}.");
        }
    }
}
