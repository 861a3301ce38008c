using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace TrainServe.Inference.Kernels;

// B batch, S new tokens of each, R = B*S rows, H query heads, K key-value heads, P head size, M cache capacity.

/// <summary>One attention over all sequences and heads, cut into parts: some new tokens of one key-value head each.</summary>
internal unsafe struct AttentionJob
{
    /// <summary>The largest P.</summary>
    public const int LargestHead = 256;

    // Of new tokens in a part. Their queries share keys and values that were turned into numbers once.
    private const int BlockTokens = 32;

    public float* Input, RowScales, Cos, Sin, KeySteps, ValueSteps, Output;
    public sbyte* Keys, Values;
    public int* LastTokens;
    public int Total, Batch, NewTokens, Heads, KeyValueHeads, HeadSize, Capacity;
    public float Scale;

    public readonly int RowWidth => (Heads + 2 * KeyValueHeads) * HeadSize;

    private readonly int Blocks => (NewTokens + BlockTokens - 1) / BlockTokens;

    /// <summary>Tokens in the cache before this step. Where the longest sequence is all new, nothing is.</summary>
    public readonly int Cached(int sequence) => NewTokens == Total ? 0 : LastTokens[sequence] + 1 - NewTokens;

    public void Run(nint context)
    {
        fixed (AttentionJob* self = &this)
        {
            int parts = Batch * KeyValueHeads * Blocks;
            if (NewTokens > 1)
            {
                OrtApi.ParallelFor(context, &WritePart, parts, self);
            }
            OrtApi.ParallelFor(context, &AttendPart, parts, self);
        }
    }

    [UnmanagedCallersOnly]
    private static void WritePart(void* data, nuint part)
    {
        var job = (AttentionJob*)data;
        int block = (int)part % job->Blocks, head = (int)part / job->Blocks % job->KeyValueHeads, sequence = (int)part / job->Blocks / job->KeyValueHeads;
        job->Write(sequence, head, block * BlockTokens, Math.Min(job->NewTokens, (block + 1) * BlockTokens));
    }

    [UnmanagedCallersOnly]
    private static void AttendPart(void* data, nuint part)
    {
        var job = (AttentionJob*)data;
        // The last tokens see most keys; what takes longest comes first.
        int left = (int)part / job->KeyValueHeads, head = (int)part % job->KeyValueHeads, block = job->Blocks - 1 - left / job->Batch, sequence = left % job->Batch;
        if (job->NewTokens == 1)
        {
            job->Write(sequence, head, 0, 1);
        }
        job->Attend(sequence, head, block * BlockTokens, Math.Min(job->NewTokens, (block + 1) * BlockTokens));
    }

    // Padding behind a sequence's last token is not cached. Rounded where the runtime's own operator rounds, here and in the rotation, so that both cache the same bytes.
    [SkipLocalsInit]
    private readonly void Write(int sequence, int head, int first, int end)
    {
        float* key = stackalloc float[LargestHead];
        int cached = Cached(sequence);
        end = Math.Min(end, LastTokens[sequence] + 1 - cached);
        for (int token = first; token < end; token++)
        {
            int row = sequence * NewTokens + token, position = cached + token;
            float* source = Input + (long)row * RowWidth + (Heads + head) * HeadSize;
            long place = (((long)sequence * KeyValueHeads + head) * Capacity + position) * HeadSize;
            Rotate(source, row, position, key);
            var rowScale = Vector512.Create(RowScale(row));
            for (int i = 0; i < HeadSize; i += VectorMath.Width)
            {
                VectorMath.ToSignedBytes(Vector512.Load(key + i) * (Vector512<float>.One / Vector512.Load(KeySteps + head * HeadSize + i))).Store(Keys + place + i);
                var value = Vector512.Load(source + KeyValueHeads * HeadSize + i) * rowScale;
                VectorMath.ToSignedBytes(value * (Vector512<float>.One / Vector512.Load(ValueSteps + head * HeadSize + i))).Store(Values + place + i);
            }
        }
    }

    [SkipLocalsInit]
    private readonly void Attend(int sequence, int head, int first, int end)
    {
        int group = Heads / KeyValueHeads, cached = Cached(sequence), valid = LastTokens[sequence] + 1 - cached;
        for (int token = Math.Max(first, valid); token < end; token++)
        {
            new Span<float>(Output + ((long)(sequence * NewTokens + token) * Heads + head * group) * HeadSize, group * HeadSize).Clear();
        }
        end = Math.Min(end, valid);
        if (first >= end)
        {
            return;
        }
        long place = ((long)sequence * KeyValueHeads + head) * Capacity * HeadSize;
        using var tiles = new AttentionTiles((end - first) * group, group, HeadSize, cached + first, Keys + place, Values + place);
        for (int token = first; token < end; token++)
        {
            for (int member = 0; member < group; member++)
            {
                int row = sequence * NewTokens + token;
                float* query = tiles.Query((token - first) * group + member);
                Rotate(Input + (long)row * RowWidth + (head * group + member) * HeadSize, row, cached + token, query);
                // What a step of each place is worth goes into the query, so that cached bytes are used as they are.
                for (int i = 0; i < HeadSize; i += VectorMath.Width)
                {
                    (Vector512.Load(query + i) * (Vector512.Load(KeySteps + head * HeadSize + i) * Scale)).Store(query + i);
                }
            }
        }
        tiles.Run();
        for (int token = first; token < end; token++)
        {
            tiles.Write((token - first) * group, group, ValueSteps + head * HeadSize, Output + ((long)(sequence * NewTokens + token) * Heads + head * group) * HeadSize);
        }
    }

    private readonly float RowScale(int row) => RowScales == null ? 1 : RowScales[row];

    // Halves of a head turn against each other, as in Hugging Face's models.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Rotate(float* source, int row, int position, float* target)
    {
        int half = HeadSize / 2;
        var scale = Vector256.Create(RowScale(row));
        for (int i = 0; i < half; i += Vector256<float>.Count)
        {
            Vector256<float> x = Vector256.Load(source + i) * scale, y = Vector256.Load(source + half + i) * scale;
            Vector256<float> cos = Vector256.Load(Cos + (long)position * half + i), sin = Vector256.Load(Sin + (long)position * half + i);
            Vector256.FusedMultiplyAdd(x, cos, -(y * sin)).Store(target + i);
            Vector256.FusedMultiplyAdd(x, sin, y * cos).Store(target + half + i);
        }
    }
}
