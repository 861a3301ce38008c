using System.Runtime.InteropServices;
using TorchSharp.Modules;
using TrainServe.Core.Packaging;
using static TorchSharp.torch;

namespace TrainServe.Model;

/// <summary>The model's weights under Hugging Face's names, whatever is fused inside.</summary>
public static class StateDictAdapter
{
    /// <summary>Fills a model from a file of float32, bfloat16 or float16 weights.</summary>
    /// <exception cref="InvalidDataException">A weight is missing, of another shape, or unknown; the message names file and tensor.</exception>
    public static void Load(Transformer model, SafeTensorsReader weights)
    {
        weights.RequireWeightsOf(model.Config);
        Fill(model, (name, _, values) => weights.CopySingles(name, values));
    }

    /// <summary>The weights in the order in which they are stored.</summary>
    /// <param name="model">Read when a tensor's turn to be written comes; it must not change or be disposed before.</param>
    /// <param name="type">F32, or BF16, to which they are rounded.</param>
    /// <exception cref="ArgumentOutOfRangeException">Another type.</exception>
    public static IReadOnlyList<SafeTensor> Save(Transformer model, SafeTensorType type = SafeTensorType.F32)
    {
        var dtype = type switch
        {
            SafeTensorType.F32 => ScalarType.Float32,
            SafeTensorType.BF16 => ScalarType.BFloat16,
            _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Weights are written as F32 or BF16."),
        };
        var places = Places(model);
        return [.. WeightNames.Expected(model.Config).Select(weight => new SafeTensor(weight.Name, type, weight.Shape, stream =>
        {
            using var noGradient = no_grad();
            using var scope = NewDisposeScope();
            stream.Write(places[weight.Name].View().to(dtype).cpu().contiguous().bytes);
        }))];
    }

    /// <summary>One weight as a view of the parameter that holds it: writing to it changes the model.</summary>
    /// <returns>Owned by the caller.</returns>
    /// <exception cref="KeyNotFoundException">The model has no such weight.</exception>
    public static Tensor View(Transformer model, string name) => Places(model)[name].View();

    /// <summary>The gradient of one weight as a view; null where there is none yet.</summary>
    /// <returns>Owned by the caller.</returns>
    /// <exception cref="KeyNotFoundException">The model has no such weight.</exception>
    public static Tensor? GradientView(Transformer model, string name)
    {
        var place = Places(model)[name];
        return place.Parameter.grad?.narrow(0, place.First, place.Rows);
    }

    /// <summary>Sets every weight to what <paramref name="fill"/> writes: its name, its shape, its values in row-major order.</summary>
    internal static void Fill(Transformer model, WeightFiller fill)
    {
        using var noGradient = no_grad();
        var places = Places(model);
        foreach (var (name, shape) in WeightNames.Expected(model.Config))
        {
            using var scope = NewDisposeScope();
            var view = places[name].View();
            if (model.Dtype == ScalarType.Float32 && model.Device.type == TorchSharp.DeviceType.CPU)
            {
                // Rows of a contiguous parameter: written in place.
                fill(name, shape, MemoryMarshal.Cast<byte, float>(view.bytes));
                continue;
            }
            var values = zeros(shape, ScalarType.Float32);
            fill(name, shape, MemoryMarshal.Cast<byte, float>(values.bytes));
            view.copy_(values);
        }
    }

    private static Dictionary<string, Place> Places(Transformer model)
    {
        var config = model.Config;
        long query = (long)config.NumAttentionHeads * config.HeadDim, keyValue = (long)config.NumKeyValueHeads * config.HeadDim, inner = config.IntermediateSize;
        var places = new Dictionary<string, Place>(StringComparer.Ordinal)
        {
            [WeightNames.Embedding] = Whole(model.EmbeddingWeight),
            [WeightNames.FinalNorm] = Whole(model.Norm.Weight),
        };
        for (int layer = 0; layer < model.Blocks.Count; layer++)
        {
            var block = model.Blocks[layer];
            places[WeightNames.InputNorm(layer)] = Whole(block.AttentionNorm.Weight);
            places[WeightNames.Query(layer)] = new Place(block.Attention.Qkv, 0, query);
            places[WeightNames.Key(layer)] = new Place(block.Attention.Qkv, query, keyValue);
            places[WeightNames.Value(layer)] = new Place(block.Attention.Qkv, query + keyValue, keyValue);
            places[WeightNames.AttentionOutput(layer)] = Whole(block.Attention.Output);
            places[WeightNames.PostAttentionNorm(layer)] = Whole(block.FeedForwardNorm.Weight);
            places[WeightNames.Gate(layer)] = new Place(block.FeedForward.GateUp, 0, inner);
            places[WeightNames.Up(layer)] = new Place(block.FeedForward.GateUp, inner, inner);
            places[WeightNames.Down(layer)] = Whole(block.FeedForward.Down);
        }
        if (model.HeadWeight is { } head)
        {
            places[WeightNames.Head] = Whole(head);
        }
        if (model.Score is { } score)
        {
            places[WeightNames.Score] = Whole(score.Weight);
        }
        return places;
    }

    private static Place Whole(Parameter parameter) => new(parameter, 0, parameter.shape[0]);

    // Rows of a parameter.
    private readonly record struct Place(Parameter Parameter, long First, long Rows)
    {
        public Tensor View() => Parameter.narrow(0, First, Rows);
    }
}

/// <summary>Writes one weight's values.</summary>
internal delegate void WeightFiller(string name, long[] shape, Span<float> values);
