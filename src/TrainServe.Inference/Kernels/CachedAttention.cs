namespace TrainServe.Inference.Kernels;

// B batch, S new tokens of each, R = B*S rows, H query heads, K key-value heads, P head size, M cache capacity.

/// <summary>Causal attention of grouped queries over a cache of eight bits, into which it first writes the new keys and values.</summary>
/// <remarks>
/// Takes the place of com.microsoft's GroupQueryAttention with rotation: queries, keys and values side by side [R, (H+2K)*P], the cache twice [B, K, M, P], the index of each sequence's last
/// token [B], the largest number of tokens [1], cos and sin [positions, P/2], the steps of cached keys and values [K*P], and, if there are any, the scales [R] of the first input's rows.
/// A row's result does not depend on the rows that are computed with it.
/// </remarks>
internal static unsafe class CachedAttention
{
    public static OperatorDefinition Definition { get; } = new("CachedAttention",
        [TensorType.Float, TensorType.SignedByte, TensorType.SignedByte, TensorType.Int32, TensorType.Int32, TensorType.Float, TensorType.Float, TensorType.Float, TensorType.Float, TensorType.Float],
        [TensorType.Float, TensorType.SignedByte, TensorType.SignedByte])
    {
        OptionalInput = 9,
        Read = &Read,
        Compute = &Compute,
    };

    private static void Read(nint info, KernelSettings* settings)
    {
        settings->Scale = OrtApi.FloatAttribute(info, "scale\0"u8);
        settings->Heads = OrtApi.IntegerAttribute(info, "num_heads\0"u8);
        settings->KeyValueHeads = OrtApi.IntegerAttribute(info, "kv_num_heads\0"u8);
    }

    private static void Compute(KernelSettings* settings, nint context)
    {
        nint input = OrtApi.Input(context, 0), pastKeys = OrtApi.Input(context, 1), pastValues = OrtApi.Input(context, 2), rowScales = OrtApi.Input(context, 9), cos = OrtApi.Input(context, 5);
        Span<long> cache = stackalloc long[4], table = stackalloc long[2];
        var (rows, width) = RowWork.Size(input);
        bool fits = OrtApi.Shape(pastKeys, cache) == 4 & OrtApi.Shape(cos, table) == 2;
        var job = new AttentionJob
        {
            Input = (float*)OrtApi.Data(input), RowScales = rowScales == 0 ? null : (float*)OrtApi.Data(rowScales),
            Cos = (float*)OrtApi.Data(cos), Sin = (float*)OrtApi.Data(OrtApi.Input(context, 6)),
            KeySteps = (float*)OrtApi.Data(OrtApi.Input(context, 7)), ValueSteps = (float*)OrtApi.Data(OrtApi.Input(context, 8)),
            LastTokens = (int*)OrtApi.Data(OrtApi.Input(context, 3)), Total = *(int*)OrtApi.Data(OrtApi.Input(context, 4)),
            Batch = (int)cache[0], Heads = settings->Heads, KeyValueHeads = settings->KeyValueHeads, Capacity = (int)cache[2], HeadSize = (int)cache[3], Scale = settings->Scale,
            NewTokens = cache[0] == 0 ? 0 : rows / (int)cache[0],
        };
        Require(fits && rows == job.Batch * job.NewTokens && width == job.RowWidth && cache[1] == job.KeyValueHeads && job.Heads % job.KeyValueHeads == 0
            && job.HeadSize % VectorMath.Width == 0 && job.HeadSize <= AttentionJob.LargestHead && table[1] == job.HeadSize / 2, "The shapes of an attention's inputs do not fit each other.");
        for (int sequence = 0; sequence < job.Batch; sequence++)
        {
            int end = job.LastTokens[sequence] + 1;
            Require(end > 0 && end <= job.Capacity && end <= table[0] && job.Cached(sequence) >= 0, "A sequence is longer than its cache.");
        }
        job.Output = (float*)RowWork.Matrix(context, 0, rows, job.Heads * job.HeadSize);
        job.Keys = Present(context, 1, pastKeys, cache);
        job.Values = Present(context, 2, pastValues, cache);
        job.Run(context);
    }

    // Bound to the same memory, there is nothing to copy.
    private static sbyte* Present(nint context, int output, nint past, Span<long> shape)
    {
        fixed (long* dimensions = shape)
        {
            void* source = OrtApi.Data(past), target = OrtApi.Data(OrtApi.Output(context, output, dimensions, shape.Length));
            long bytes = shape[0] * shape[1] * shape[2] * shape[3];
            if (source != target)
            {
                Buffer.MemoryCopy(source, target, bytes, bytes);
            }
            return (sbyte*)target;
        }
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new InvalidOperationException(message);
        }
    }
}
