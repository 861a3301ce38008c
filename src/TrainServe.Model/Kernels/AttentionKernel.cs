using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace TrainServe.Model.Kernels;

// B batch, T time, H query heads, K key-value heads, D head size, Tp time rounded up to 16.
// A row of qkv is the heads of query, key and value after each other, not yet rotated.

/// <summary>What attention reads and writes.</summary>
internal unsafe struct AttentionArguments<T> where T : unmanaged, IStoredNumber<T>
{
    /// <summary>[B, T, (H + 2K) * D]</summary>
    public T* Qkv;

    /// <summary>Written by forward, read by backward, [B, T, H * D].</summary>
    public T* Output;

    /// <summary>log(sum(exp(scores))) of each query: written by forward, read by backward, [B, H, T].</summary>
    public float* LogSum;

    /// <summary>The rotary tables, [positions, D / 2].</summary>
    public float* Cos, Sin;

    /// <summary>The first key that each query sees, which never falls along a row, [B, T]; null when that is 0.</summary>
    public int* First;

    /// <summary>Backward: gradient of the output, and of qkv, which is written.</summary>
    public T* OutputGradient, QkvGradient;
    public int Batch, Time, Heads, KeyValueHeads, HeadDim;
}

/// <summary>Rotary embedding and causal attention of one (row, key-value head) after the other: scores stay in the core's cache.</summary>
/// <remarks>
/// The plain twin is <see cref="CausalSelfAttention"/>. Sums are in single precision. Tiles of queries see the keys up to their last one, and from the beginning
/// of their first one's text, so that packed texts cost less than one long text.
/// </remarks>
internal static unsafe class AttentionKernel<T> where T : unmanaged, IStoredNumber<T>
{
    private const int QueryTile = 32;

    [ThreadStatic]
    private static Scratch? _scratch;

    public static void Forward(AttentionArguments<T> arguments) => RowParallel.For(arguments.Batch * arguments.KeyValueHeads, 1, &ForwardHeads, &arguments);

    public static void Backward(AttentionArguments<T> arguments) => RowParallel.For(arguments.Batch * arguments.KeyValueHeads, 1, &BackwardHeads, &arguments);

    private static int RoundUp(int value, int multiple) => (value + multiple - 1) / multiple * multiple;

    private static void ForwardHeads(void* data, int from, int to)
    {
        ref var call = ref *(AttentionArguments<T>*)data;
        int time = call.Time, size = call.HeadDim, padded = RoundUp(time, Lanes.Count), group = call.Heads / call.KeyValueHeads;
        float scale = 1 / MathF.Sqrt(size);
        (_scratch ??= new Scratch()).Begin((3L * padded + 2 * QueryTile) * size + (long)QueryTile * padded);
        float* keyDT = _scratch.Take(padded * size), valueTD = _scratch.Take(padded * size), queryTD = _scratch.Take(padded * size);
        float* outputTile = _scratch.Take(QueryTile * size), scores = _scratch.Take(QueryTile * padded), keyRow = _scratch.Take(QueryTile * size);
        float* inverse = stackalloc float[QueryTile];
        for (int task = from; task < to; task++)
        {
            var (row, keyHead) = Math.DivRem(task, call.KeyValueHeads);
            LoadKeys(in call, row, keyHead, padded, keyRow, keyDT, null);
            LoadPlain(in call, call.Qkv, call.Heads + call.KeyValueHeads + keyHead, call.Heads + 2 * call.KeyValueHeads, row, padded, valueTD);
            for (int head = keyHead * group; head < (keyHead + 1) * group; head++)
            {
                LoadQueries(in call, row, head, padded, scale, queryTD);
                float* logSum = call.LogSum + ((long)row * call.Heads + head) * time;
                for (int start = 0; start < time; start += QueryTile)
                {
                    var tile = new Tile(in call, row, start);
                    SmallGemm.Multiply(queryTD + start * size, size, 1, keyDT + tile.FirstKey, padded, scores, tile.Keys, tile.PaddedQueries, tile.Keys, size, adds: false);
                    for (int i = 0; i < tile.PaddedQueries; i++)
                    {
                        inverse[i] = 1 / Softmax(scores + i * tile.Keys, in tile, i, i < tile.Queries ? logSum + start + i : null);
                    }
                    SmallGemm.Multiply(scores, tile.Keys, 1, valueTD + tile.FirstKey * size, size, outputTile, size, tile.PaddedQueries, size, tile.Keys, adds: false);
                    for (int i = 0; i < tile.Queries; i++)
                    {
                        T* destination = call.Output + (((long)row * time + start + i) * call.Heads + head) * size;
                        for (int d = 0; d < size; d += Lanes.Count)
                        {
                            T.Store(Vector512.Load(outputTile + i * size + d) * inverse[i], destination + d);
                        }
                    }
                }
            }
        }
    }

    private static void BackwardHeads(void* data, int from, int to)
    {
        ref var call = ref *(AttentionArguments<T>*)data;
        int time = call.Time, size = call.HeadDim, padded = RoundUp(time, Lanes.Count), group = call.Heads / call.KeyValueHeads, width = call.Heads + 2 * call.KeyValueHeads;
        float scale = 1 / MathF.Sqrt(size);
        (_scratch ??= new Scratch()).Begin((8L * padded + 2 * QueryTile) * size + 2L * QueryTile * padded + padded);
        float* keyTD = _scratch.Take(padded * size), keyDT = _scratch.Take(padded * size), valueDT = _scratch.Take(padded * size);
        float* keyGradient = _scratch.Take(padded * size), valueGradient = _scratch.Take(padded * size);
        float* queryTD = _scratch.Take(padded * size), gradientTD = _scratch.Take(padded * size), delta = _scratch.Take(padded);
        float* probabilities = _scratch.Take(QueryTile * padded), scoreGradient = _scratch.Take(QueryTile * padded);
        float* queryGradient = _scratch.Take(QueryTile * size), keyRow = _scratch.Take(QueryTile * size);
        for (int task = from; task < to; task++)
        {
            var (row, keyHead) = Math.DivRem(task, call.KeyValueHeads);
            LoadKeys(in call, row, keyHead, padded, keyRow, keyDT, keyTD);
            // queryTD is free yet: values go through it into their transposed place.
            LoadPlain(in call, call.Qkv, call.Heads + call.KeyValueHeads + keyHead, width, row, padded, queryTD);
            Transpose(queryTD, valueDT, padded, size);
            new Span<float>(keyGradient, padded * size).Clear();
            new Span<float>(valueGradient, padded * size).Clear();
            for (int head = keyHead * group; head < (keyHead + 1) * group; head++)
            {
                LoadQueries(in call, row, head, padded, scale, queryTD);
                LoadPlain(in call, call.OutputGradient, head, call.Heads, row, padded, gradientTD);
                Delta(in call, row, head, gradientTD, delta);
                float* logSum = call.LogSum + ((long)row * call.Heads + head) * time;
                for (int start = 0; start < time; start += QueryTile)
                {
                    var tile = new Tile(in call, row, start);
                    float* gradient = gradientTD + start * size, query = queryTD + start * size;
                    SmallGemm.Multiply(query, size, 1, keyDT + tile.FirstKey, padded, probabilities, tile.Keys, tile.PaddedQueries, tile.Keys, size, adds: false);
                    SmallGemm.Multiply(gradient, size, 1, valueDT + tile.FirstKey, padded, scoreGradient, tile.Keys, tile.PaddedQueries, tile.Keys, size, adds: false);
                    for (int i = 0; i < tile.PaddedQueries; i++)
                    {
                        ScoreGradient(probabilities + i * tile.Keys, scoreGradient + i * tile.Keys, in tile, i, i < tile.Queries ? logSum[start + i] : 0, delta[start + i]);
                    }
                    SmallGemm.Multiply(probabilities, 1, tile.Keys, gradient, size, valueGradient + tile.FirstKey * size, size, tile.Keys, size, tile.Queries, adds: true);
                    SmallGemm.Multiply(scoreGradient, 1, tile.Keys, query, size, keyGradient + tile.FirstKey * size, size, tile.Keys, size, tile.Queries, adds: true);
                    SmallGemm.Multiply(scoreGradient, tile.Keys, 1, keyTD + tile.FirstKey * size, size, queryGradient, size, tile.PaddedQueries, size, tile.Keys, adds: false);
                    for (int i = 0; i < tile.Queries; i++)
                    {
                        TurnBack(in call, queryGradient + i * size, start + i, scale, call.QkvGradient + (((long)row * time + start + i) * width + head) * size);
                    }
                }
            }
            for (int t = 0; t < time; t++)
            {
                T* destination = call.QkvGradient + ((long)row * time + t) * width * size;
                TurnBack(in call, keyGradient + t * size, t, 1, destination + (call.Heads + keyHead) * size);
                for (int d = 0; d < size; d += Lanes.Count)
                {
                    T.Store(Vector512.Load(valueGradient + t * size + d), destination + (call.Heads + call.KeyValueHeads + keyHead) * size + d);
                }
            }
        }
    }

    // Scores become exp(score - highest), 0 where the query does not look; returns their sum.
    private static float Softmax(float* scores, in Tile tile, int query, float* logSum)
    {
        if (logSum is null)
        {
            new Span<float>(scores, tile.Keys).Clear();
            return 1;
        }
        var highest = Vector512.Create(float.NegativeInfinity);
        for (int j = 0; j < tile.Keys; j += Lanes.Count)
        {
            highest = Vector512.Max(highest, Vector512.ConditionalSelect(tile.Sees(query, j), Vector512.Load(scores + j), Vector512.Create(float.NegativeInfinity)));
        }
        float top = Highest(highest);
        var sum = Vector512<float>.Zero;
        for (int j = 0; j < tile.Keys; j += Lanes.Count)
        {
            var value = Lanes.Exp(Vector512.Load(scores + j) - Vector512.Create(top)) & tile.Sees(query, j);
            sum += value;
            value.Store(scores + j);
        }
        float total = Vector512.Sum(sum);
        *logSum = top + MathF.Log(total);
        return total;
    }

    private static float Highest(Vector512<float> values)
    {
        var half = Vector256.Max(values.GetLower(), values.GetUpper());
        var quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        return MathF.Max(MathF.Max(quarter[0], quarter[1]), MathF.Max(quarter[2], quarter[3]));
    }

    // Scores become probabilities p, and gradients of p become those of the scores: p * (gradient - delta).
    private static void ScoreGradient(float* scores, float* gradients, in Tile tile, int query, float logSum, float delta)
    {
        if (query >= tile.Queries)
        {
            new Span<float>(scores, tile.Keys).Clear();
            new Span<float>(gradients, tile.Keys).Clear();
            return;
        }
        for (int j = 0; j < tile.Keys; j += Lanes.Count)
        {
            var probability = Lanes.Exp(Vector512.Load(scores + j) - Vector512.Create(logSum)) & tile.Sees(query, j);
            probability.Store(scores + j);
            (probability * (Vector512.Load(gradients + j) - Vector512.Create(delta))).Store(gradients + j);
        }
    }

    // sum(gradient * output) of each query.
    private static void Delta(in AttentionArguments<T> call, int row, int head, float* gradientTD, float* delta)
    {
        for (int t = 0; t < call.Time; t++)
        {
            T* output = call.Output + (((long)row * call.Time + t) * call.Heads + head) * call.HeadDim;
            var sum = Vector512<float>.Zero;
            for (int d = 0; d < call.HeadDim; d += Lanes.Count)
            {
                sum += Vector512.Load(gradientTD + t * call.HeadDim + d) * T.Load(output + d);
            }
            delta[t] = Vector512.Sum(sum);
        }
    }

    private static void LoadQueries(in AttentionArguments<T> call, int row, int head, int padded, float scale, float* queryTD)
    {
        int size = call.HeadDim, width = call.Heads + 2 * call.KeyValueHeads;
        for (int t = 0; t < call.Time; t++)
        {
            Turn(in call, call.Qkv + (((long)row * call.Time + t) * width + head) * size, t, scale, queryTD + t * size);
        }
        new Span<float>(queryTD + call.Time * size, (padded - call.Time) * size).Clear();
    }

    // keyTD, where it is wanted, gets them row after row, keyDT transposed.
    private static void LoadKeys(in AttentionArguments<T> call, int row, int keyHead, int padded, float* keyRow, float* keyDT, float* keyTD)
    {
        int size = call.HeadDim, width = call.Heads + 2 * call.KeyValueHeads;
        for (int t = 0; t < padded; t++)
        {
            float* key = keyTD is null ? keyRow : keyTD + t * size;
            if (t < call.Time)
            {
                Turn(in call, call.Qkv + (((long)row * call.Time + t) * width + call.Heads + keyHead) * size, t, 1, key);
            }
            else
            {
                new Span<float>(key, size).Clear();
            }
            for (int d = 0; d < size; d++)
            {
                keyDT[d * padded + t] = key[d];
            }
        }
    }

    private static void LoadPlain(in AttentionArguments<T> call, T* source, int head, int width, int row, int padded, float* destinationTD)
    {
        int size = call.HeadDim;
        for (int t = 0; t < call.Time; t++)
        {
            T* from = source + (((long)row * call.Time + t) * width + head) * size;
            for (int d = 0; d < size; d += Lanes.Count)
            {
                T.Load(from + d).Store(destinationTD + t * size + d);
            }
        }
        new Span<float>(destinationTD + call.Time * size, (padded - call.Time) * size).Clear();
    }

    private static void Transpose(float* sourceTD, float* destinationDT, int padded, int size)
    {
        for (int t = 0; t < padded; t++)
        {
            for (int d = 0; d < size; d++)
            {
                destinationDT[d * padded + t] = sourceTD[t * size + d];
            }
        }
    }

    // Turns a head by its position's angles, and scales it.
    private static void Turn(in AttentionArguments<T> call, T* source, int position, float scale, float* destination)
    {
        int half = call.HeadDim / 2;
        float* cos = call.Cos + position * half, sin = call.Sin + position * half;
        for (int d = 0; d < half; d += 8)
        {
            Vector256<float> first = T.LoadEight(source + d), second = T.LoadEight(source + half + d);
            Vector256<float> c = Vector256.Load(cos + d) * scale, s = Vector256.Load(sin + d) * scale;
            (first * c - second * s).Store(destination + d);
            (second * c + first * s).Store(destination + half + d);
        }
    }

    private static void TurnBack(in AttentionArguments<T> call, float* source, int position, float scale, T* destination)
    {
        int half = call.HeadDim / 2;
        float* cos = call.Cos + position * half, sin = call.Sin + position * half;
        for (int d = 0; d < half; d += 8)
        {
            Vector256<float> first = Vector256.Load(source + d), second = Vector256.Load(source + half + d);
            Vector256<float> c = Vector256.Load(cos + d) * scale, s = Vector256.Load(sin + d) * scale;
            T.StoreEight(first * c + second * s, destination + d);
            T.StoreEight(second * c - first * s, destination + half + d);
        }
    }

    // Some queries after each other, and the keys that at least one of them sees.
    private readonly struct Tile
    {
        private readonly int* _first;
        private readonly int _start;

        public Tile(in AttentionArguments<T> call, int row, int start)
        {
            _start = start;
            Queries = Math.Min(QueryTile, call.Time - start);
            PaddedQueries = RoundUp(Queries, SmallGemm.RowBlock);
            _first = call.First is null ? null : call.First + (long)row * call.Time + start;
            FirstKey = _first is null ? 0 : *_first / Lanes.Count * Lanes.Count;
            Keys = RoundUp(start + Queries, Lanes.Count) - FirstKey;
        }

        public int Queries { get; }
        public int PaddedQueries { get; }
        public int FirstKey { get; }
        public int Keys { get; }

        // All bits where the query sees a key.
        public Vector512<float> Sees(int query, int key)
        {
            var index = Vector512.Create(FirstKey + key) + Lanes.Indices;
            var sees = Vector512.LessThanOrEqual(index, Vector512.Create(_start + query));
            return (_first is null ? sees : sees & Vector512.GreaterThanOrEqual(index, Vector512.Create(_first[query]))).AsSingle();
        }
    }

    // A thread's memory, kept between calls: an array that the collector does not move.
    private sealed class Scratch
    {
        private const int Alignment = 64;
        private float[] _memory = [];
        private long _used;

        public void Begin(long size)
        {
            size += 32 * Lanes.Count;
            if (size > _memory.Length)
            {
                _memory = GC.AllocateUninitializedArray<float>(checked((int)size), pinned: true);
            }
            long misaligned = (nint)Unsafe.AsPointer(ref _memory[0]) % Alignment;
            _used = misaligned == 0 ? 0 : (Alignment - misaligned) / sizeof(float);
        }

        public float* Take(int count)
        {
            float* taken = (float*)Unsafe.AsPointer(ref _memory[0]) + _used;
            _used += RoundUp(count, Lanes.Count);
            return taken;
        }
    }
}
