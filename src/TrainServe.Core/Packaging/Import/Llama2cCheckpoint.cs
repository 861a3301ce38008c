using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace TrainServe.Core.Packaging.Import;

// V vocabulary, C width, F inner width, L layers, H query heads, K key-value heads, D head size.

/// <summary>A model in the first format of llama2.c (<c>stories260K.bin</c>, <c>stories15M.bin</c>): seven numbers, then all weights as float32.</summary>
/// <remarks>
/// Order: embedding [V,C]; for all layers at once: attention norm [L,C], query [L,C,C], key [L,K*D,C], value, output, feed-forward norm, gate (w1) [L,F,C],
/// down (w2) [L,C,F], up (w3) [L,F,C]; final norm [C]; two unused rotary tables [T,D/2]; the head [V,C] unless it is shared, which a positive vocabulary size says.
/// </remarks>
public sealed class Llama2cCheckpoint
{
    private const int HeaderBytes = 28;
    private readonly float[] _values;
    private readonly Dictionary<string, (long Start, long[] Shape)> _weights = new(StringComparer.Ordinal);

    private Llama2cCheckpoint(ModelConfig config, float[] values)
    {
        (Config, _values) = (config, values);
        LayOut();
    }

    public ModelConfig Config { get; }

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The numbers in its head do not describe a model, or the length does not fit them.</exception>
    public static Llama2cCheckpoint Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        PickleGuard.Refuse(path);
        using var stream = File.OpenRead(path);
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (stream.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes)
        {
            throw new InvalidDataException($"{path} has {stream.Length} bytes; a llama2.c checkpoint starts with {HeaderBytes} bytes of sizes.");
        }
        var sizes = new int[7];
        for (int i = 0; i < sizes.Length; i++)
        {
            sizes[i] = BinaryPrimitives.ReadInt32LittleEndian(header[(4 * i)..]);
        }
        var config = Describe(sizes, path);
        long rotary = (long)config.MaxPositionEmbeddings * config.HeadDim;
        long expected = HeaderBytes + 4 * (config.ParameterCount + rotary);
        if (stream.Length != expected)
        {
            throw new InvalidDataException($"{path} has {stream.Length} bytes where its sizes say {expected}: it was cut short, or is not the first format of llama2.c.");
        }
        var values = new float[config.ParameterCount + rotary];
        stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        return new Llama2cCheckpoint(config, values);
    }

    /// <summary>The weights under Hugging Face's names.</summary>
    /// <remarks>llama2.c rotates neighbouring pairs; Hugging Face rotates the two halves of a head, so rows of query and key change places.</remarks>
    public IReadOnlyList<SafeTensor> Tensors() => [.. WeightNames.Expected(Config).Select(weight =>
    {
        var (start, shape) = _weights[weight.Name];
        var values = _values.AsMemory((int)start, (int)SafeTensor.SizeOf(SafeTensorType.U8, shape));
        bool rotated = weight.Name.Contains("q_proj", StringComparison.Ordinal) || weight.Name.Contains("k_proj", StringComparison.Ordinal);
        return SafeTensor.Singles(weight.Name, weight.Shape, rotated ? HalvesFromPairs(values.Span, Config.HeadDim, Config.HiddenSize) : values);
    })];

    /// <summary>Moves row 2i of each head to row i, and row 2i+1 to row D/2+i.</summary>
    internal static float[] HalvesFromPairs(ReadOnlySpan<float> rows, int headDim, int width)
    {
        var result = new float[rows.Length];
        int half = headDim / 2;
        for (int row = 0; row < rows.Length / width; row++)
        {
            int head = row / headDim, within = row % headDim;
            int target = head * headDim + (within % 2 == 0 ? within / 2 : half + within / 2);
            rows.Slice(row * width, width).CopyTo(result.AsSpan(target * width, width));
        }
        return result;
    }

    private static ModelConfig Describe(int[] sizes, string path)
    {
        int[] magnitudes = [.. sizes.Select(size => size == int.MinValue ? 0 : Math.Abs(size))];
        if (sizes.Take(5).Any(size => size <= 0) || magnitudes[5] == 0 || sizes[6] <= 0 || sizes[0] % sizes[3] != 0)
        {
            throw new InvalidDataException($"{path} starts with the sizes {string.Join(", ", sizes)}, which do not describe a model in llama2.c's first format.");
        }
        return new ModelConfig
        {
            HiddenSize = sizes[0],
            IntermediateSize = sizes[1],
            NumHiddenLayers = sizes[2],
            NumAttentionHeads = sizes[3],
            NumKeyValueHeads = sizes[4],
            VocabSize = magnitudes[5],
            TieWordEmbeddings = sizes[5] > 0,
            MaxPositionEmbeddings = sizes[6],
            BosTokenId = Llama2cTokenizer.BosId,
            EosTokenId = [Llama2cTokenizer.EosId, Llama2cTokenizer.BosId],
        }.Validated(path);
    }

    private void LayOut()
    {
        var c = Config;
        long width = c.HiddenSize, inner = c.IntermediateSize, query = (long)c.NumAttentionHeads * c.HeadDim, keyValue = (long)c.NumKeyValueHeads * c.HeadDim;
        long next = 0;
        One(WeightNames.Embedding, c.VocabSize, width);
        Each(WeightNames.InputNorm, width);
        Each(WeightNames.Query, query, width);
        Each(WeightNames.Key, keyValue, width);
        Each(WeightNames.Value, keyValue, width);
        Each(WeightNames.AttentionOutput, width, query);
        Each(WeightNames.PostAttentionNorm, width);
        Each(WeightNames.Gate, inner, width);
        Each(WeightNames.Down, width, inner);
        Each(WeightNames.Up, inner, width);
        One(WeightNames.FinalNorm, width);
        next += (long)c.MaxPositionEmbeddings * c.HeadDim;
        if (!c.TieWordEmbeddings)
        {
            One(WeightNames.Head, c.VocabSize, width);
        }

        void One(string name, params long[] shape)
        {
            _weights[name] = (next, shape);
            next += SafeTensor.SizeOf(SafeTensorType.U8, shape);
        }

        void Each(Func<int, string> name, params long[] shape)
        {
            for (int layer = 0; layer < c.NumHiddenLayers; layer++)
            {
                One(name(layer), shape);
            }
        }
    }
}
