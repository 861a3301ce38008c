using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using TrainServe.Core.Packaging;

namespace TrainServe.Inference.Execution;

// B rows, S new tokens of each, R rows of logits, V vocabulary.

/// <summary>The graph's inputs and outputs bound to a range of slots, made once and used for every step on that range.</summary>
/// <remarks>Past and present are the same memory, so that a step writes only its own tokens and its time follows the live context, not the capacity.</remarks>
internal sealed unsafe class StepBinding : IDisposable
{
    private readonly string _output;
    private readonly List<OrtValue> _cacheViews = [];
    private readonly List<OrtValue> _shaped = [];
    private readonly OrtIoBinding _binding;
    private readonly StepBuffers _buffers;
    private readonly int _rows, _width;
    private (int NewTokens, int LogitRows, nint Logits) _bound;

    /// <param name="output">Of the graph: what to compute for the wanted rows.</param>
    /// <param name="width">Numbers of one row of it.</param>
    public StepBinding(InferenceSession session, KvArena arena, StepBuffers buffers, int firstSlot, int rows, string output, int width)
    {
        (_buffers, _rows, _output, _width) = (buffers, rows, output, width);
        _binding = session.CreateIoBinding();
        for (int layer = 0; layer < arena.Layers; layer++)
        {
            BindCache(arena.KeyView(layer, firstSlot, rows), GraphNames.PastKey(layer), GraphNames.PresentKey(layer));
            BindCache(arena.ValueView(layer, firstSlot, rows), GraphNames.PastValue(layer), GraphNames.PresentValue(layer));
        }
    }

    /// <summary>Runs one step on what lies in the buffers.</summary>
    public void Run(InferenceSession session, RunOptions options, int newTokens, int logitRows)
    {
        var shape = (newTokens, logitRows, (nint)_buffers.Logits.Pointer);
        if (_bound != shape)
        {
            BindShaped(newTokens, logitRows);
            _bound = shape;
        }
        session.RunWithBinding(options, _binding);
    }

    public void Dispose()
    {
        _binding.Dispose();
        _cacheViews.ForEach(value => value.Dispose());
        _shaped.ForEach(value => value.Dispose());
    }

    private void BindCache(OrtValue view, string past, string present)
    {
        _cacheViews.Add(view);
        _binding.BindInput(past, view);
        _binding.BindOutput(present, view);
    }

    private void BindShaped(int newTokens, int logitRows)
    {
        var old = _shaped.ToArray();
        _shaped.Clear();
        _binding.BindInput(GraphNames.InputIds, Shaped(_buffers.Ids.Pointer, TensorElementType.Int64, sizeof(long), _rows, newTokens));
        _binding.BindInput(GraphNames.SequenceLengths, Shaped(_buffers.SequenceLengths.Pointer, TensorElementType.Int32, sizeof(int), _rows));
        _binding.BindInput(GraphNames.TotalLength, Shaped(_buffers.TotalLength.Pointer, TensorElementType.Int32, sizeof(int), 1));
        _binding.BindInput(GraphNames.LogitIndex, Shaped(_buffers.LogitIndex.Pointer, TensorElementType.Int64, sizeof(long), logitRows));
        _binding.BindOutput(_output, Shaped(_buffers.Logits.Pointer, TensorElementType.Float, sizeof(float), logitRows, _width));
        Array.ForEach(old, value => value.Dispose());
    }

    private OrtValue Shaped(void* data, TensorElementType type, int size, params long[] shape)
    {
        var value = OrtValue.CreateTensorValueWithData(OrtMemoryInfo.DefaultInstance, type, shape, (nint)data, shape.Aggregate((long)size, (product, dimension) => checked(product * dimension)));
        _shaped.Add(value);
        return value;
    }
}

/// <summary>Memory of a step's small inputs and of its logits, at fixed places that bindings point to.</summary>
internal sealed class StepBuffers(int slots, int contextLength, int rowWidth) : IDisposable
{
    public NativeBuffer<long> Ids { get; } = new(Math.Max(slots, contextLength));
    public NativeBuffer<long> LogitIndex { get; } = new(Math.Max(slots, contextLength));
    public NativeBuffer<int> SequenceLengths { get; } = new(slots);
    public NativeBuffer<int> TotalLength { get; } = new(1);

    /// <summary>Rows of logits, or of hidden states: one for each slot, and more only once somebody wants those of whole sequences.</summary>
    public NativeBuffer<float> Logits { get; private set; } = new((long)slots * rowWidth);

    public void RequireLogitRows(int rows)
    {
        if (Logits.Count < (long)rows * rowWidth)
        {
            Logits.Dispose();
            Logits = new NativeBuffer<float>((long)rows * rowWidth);
        }
    }

    public void Dispose()
    {
        Ids.Dispose();
        LogitIndex.Dispose();
        SequenceLengths.Dispose();
        TotalLength.Dispose();
        Logits.Dispose();
    }
}
