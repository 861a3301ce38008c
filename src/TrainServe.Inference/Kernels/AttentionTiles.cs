using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace TrainServe.Inference.Kernels;

// N queries of one key-value head, P head size.

/// <summary>Some consecutive queries against the keys and values up to theirs, in tiles of keys.</summary>
/// <remarks>
/// The softmax is kept up to date tile by tile (Dao et al., FlashAttention, 2022). Tiles begin at multiples of 64 keys and sums run in the order of places and of keys, whatever other queries
/// there are; a key that a query must not see adds nothing to it. So a query's result is its own, bit for bit.
/// </remarks>
internal readonly unsafe ref struct AttentionTiles : IDisposable
{
    private const int Tile = 64;
    private readonly int _queries, _group, _size, _position;
    private readonly sbyte* _keys, _values;
    private readonly float* _memory, _keyTile, _valueTile, _query, _sum, _score, _most, _weight;

    /// <param name="queries">N, the queries of one token side by side.</param>
    /// <param name="group">Queries of a token.</param>
    /// <param name="size">P</param>
    /// <param name="position">Of the first token.</param>
    /// <param name="keys">[position of the last token + 1 or more, P]</param>
    /// <param name="values">As many.</param>
    public AttentionTiles(int queries, int group, int size, int position, sbyte* keys, sbyte* values)
    {
        (_queries, _group, _size, _position) = (queries, group, size, position);
        _keys = keys;
        _values = values;
        _memory = (float*)NativeMemory.AlignedAlloc((nuint)(2 * Tile * size + queries * (2 * size + Tile + 2)) * sizeof(float), 64);
        _keyTile = _memory;
        _valueTile = _keyTile + Tile * size;
        _query = _valueTile + Tile * size;
        _sum = _query + queries * size;
        _score = _sum + queries * size;
        _most = _score + queries * Tile;
        _weight = _most + queries;
        new Span<float>(_sum, queries * size).Clear();
        new Span<float>(_most, queries).Fill(float.NegativeInfinity);
        new Span<float>(_weight, queries).Clear();
    }

    public float* Query(int index) => _query + index * _size;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run()
    {
        int end = _position + (_queries - 1) / _group + 1;
        for (int start = 0; start < end; start += Tile)
        {
            int count = Math.Min(Tile, end - start);
            LoadKeys(start, count);
            LoadValues(start, count);
            int first = Math.Max(0, start - _position) * _group, index = first;
            for (; index + 3 <= _queries; index += 3)
            {
                ScoreThree(index);
            }
            for (; index < _queries; index++)
            {
                ScoreOne(index);
            }
            for (index = first; index < _queries; index++)
            {
                Soften(index, Math.Min(Tile, _position + index / _group + 1 - start));
            }
            for (index = first; index + 3 <= _queries; index += 3)
            {
                SumThree(index, count);
            }
            for (; index < _queries; index++)
            {
                SumOne(index, count);
            }
        }
    }

    /// <summary>Writes the results of a token's queries.</summary>
    public void Write(int index, int count, float* valueSteps, float* target)
    {
        for (int query = index; query < index + count; query++, target += _size)
        {
            var weight = Vector512.Create(_weight[query]);
            for (int i = 0; i < _size; i += VectorMath.Width)
            {
                (Vector512.Load(_sum + query * _size + i) * Vector512.Load(valueSteps + i) / weight).Store(target + i);
            }
        }
    }

    public void Dispose() => NativeMemory.AlignedFree(_memory);

    // Keys lie place by place, [P, 64], so that sixteen scores are summed side by side.
    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    private void LoadKeys(int start, int count)
    {
        const int Side = VectorMath.Width;
        Vector128<sbyte>* square = stackalloc Vector128<sbyte>[2 * Side];
        for (int key = 0; key < Tile; key += Side)
        {
            for (int place = 0; place < _size; place += Side)
            {
                for (int i = 0; i < Side; i++)
                {
                    square[i] = key + i < count ? Vector128.Load(_keys + (long)(start + key + i) * _size + place) : default;
                }
                Transpose(square);
                for (int i = 0; i < Side; i++)
                {
                    VectorMath.FromSignedBytes(square[i]).Store(_keyTile + (place + i) * Tile + key);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void LoadValues(int start, int count)
    {
        sbyte* source = _values + (long)start * _size;
        for (int i = 0; i < count * _size; i += VectorMath.Width)
        {
            VectorMath.FromSignedBytes(Vector128.Load(source + i)).Store(_valueTile + i);
        }
    }

    // Four times the halves of a list are merged, value by value.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose(Vector128<sbyte>* square)
    {
        const int Side = VectorMath.Width;
        if (Sse2.IsSupported)
        {
            Vector128<sbyte>* from = square, to = square + Side;
            for (int round = 0; round < 4; round++)
            {
                for (int i = 0; i < Side / 2; i++)
                {
                    Vector128<sbyte> low = from[i], high = from[i + Side / 2];
                    to[2 * i] = Sse2.UnpackLow(low, high);
                    to[2 * i + 1] = Sse2.UnpackHigh(low, high);
                }
                var done = to;
                to = from;
                from = done;
            }
            return;
        }
        sbyte* values = (sbyte*)square;
        for (int i = 0; i < Side; i++)
        {
            for (int j = 0; j < i; j++)
            {
                (values[i * Side + j], values[j * Side + i]) = (values[j * Side + i], values[i * Side + j]);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ScoreThree(int index)
    {
        float* a = Query(index), b = a + _size, c = b + _size, key = _keyTile;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default, c0 = default, c1 = default, c2 = default, c3 = default;
        for (int i = 0; i < _size; i++, key += Tile)
        {
            Vector512<float> k0 = Vector512.Load(key), k1 = Vector512.Load(key + 16), k2 = Vector512.Load(key + 32), k3 = Vector512.Load(key + 48);
            Vector512<float> x = Vector512.Create(a[i]), y = Vector512.Create(b[i]), z = Vector512.Create(c[i]);
            a0 = Vector512.FusedMultiplyAdd(x, k0, a0);
            a1 = Vector512.FusedMultiplyAdd(x, k1, a1);
            a2 = Vector512.FusedMultiplyAdd(x, k2, a2);
            a3 = Vector512.FusedMultiplyAdd(x, k3, a3);
            b0 = Vector512.FusedMultiplyAdd(y, k0, b0);
            b1 = Vector512.FusedMultiplyAdd(y, k1, b1);
            b2 = Vector512.FusedMultiplyAdd(y, k2, b2);
            b3 = Vector512.FusedMultiplyAdd(y, k3, b3);
            c0 = Vector512.FusedMultiplyAdd(z, k0, c0);
            c1 = Vector512.FusedMultiplyAdd(z, k1, c1);
            c2 = Vector512.FusedMultiplyAdd(z, k2, c2);
            c3 = Vector512.FusedMultiplyAdd(z, k3, c3);
        }
        float* target = _score + index * Tile;
        StoreFour(target, a0, a1, a2, a3);
        StoreFour(target + Tile, b0, b1, b2, b3);
        StoreFour(target + 2 * Tile, c0, c1, c2, c3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ScoreOne(int index)
    {
        float* a = Query(index), key = _keyTile;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        for (int i = 0; i < _size; i++, key += Tile)
        {
            var x = Vector512.Create(a[i]);
            a0 = Vector512.FusedMultiplyAdd(x, Vector512.Load(key), a0);
            a1 = Vector512.FusedMultiplyAdd(x, Vector512.Load(key + 16), a1);
            a2 = Vector512.FusedMultiplyAdd(x, Vector512.Load(key + 32), a2);
            a3 = Vector512.FusedMultiplyAdd(x, Vector512.Load(key + 48), a3);
        }
        StoreFour(_score + index * Tile, a0, a1, a2, a3);
    }

    // Of the tile's keys the query sees the first; the weights of the others become zero.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Soften(int index, int seen)
    {
        float* score = _score + index * Tile;
        var unseen = Vector512.Create(float.NegativeInfinity);
        var most = unseen;
        for (int i = 0; i < Tile; i += VectorMath.Width)
        {
            var value = Vector512.ConditionalSelect(Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(seen - i)).AsSingle(), Vector512.Load(score + i), unseen);
            value.Store(score + i);
            most = Vector512.Max(most, value);
        }
        float before = _most[index], now = before;
        var pair = Vector256.Max(most.GetLower(), most.GetUpper());
        var four = Vector128.Max(pair.GetLower(), pair.GetUpper());
        now = Math.Max(now, Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3])));
        _most[index] = now;
        var largest = Vector512.Create(now);
        var total = Vector512<float>.Zero;
        for (int i = 0; i < Tile; i += VectorMath.Width)
        {
            var value = Vector512.Load(score + i);
            value = Vector512.ConditionalSelect(Vector512.Equals(value, unseen), Vector512<float>.Zero, VectorMath.Exp(value - largest));
            value.Store(score + i);
            total += value;
        }
        float sum = Vector512.Sum(total);
        if (now == before)
        {
            _weight[index] += sum;
            return;
        }
        var shrink = VectorMath.Exp(Vector512.Create(before - now));
        _weight[index] = _weight[index] * shrink[0] + sum;
        for (int i = 0; i < _size; i += VectorMath.Width)
        {
            (Vector512.Load(_sum + index * _size + i) * shrink).Store(_sum + index * _size + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void SumThree(int index, int count)
    {
        float* weight = _score + index * Tile;
        int place = 0;
        for (; place + 64 <= _size; place += 64)
        {
            float* a = _sum + index * _size + place, b = a + _size, c = b + _size, value = _valueTile + place;
            Vector512<float> a0 = Vector512.Load(a), a1 = Vector512.Load(a + 16), a2 = Vector512.Load(a + 32), a3 = Vector512.Load(a + 48);
            Vector512<float> b0 = Vector512.Load(b), b1 = Vector512.Load(b + 16), b2 = Vector512.Load(b + 32), b3 = Vector512.Load(b + 48);
            Vector512<float> c0 = Vector512.Load(c), c1 = Vector512.Load(c + 16), c2 = Vector512.Load(c + 32), c3 = Vector512.Load(c + 48);
            for (int i = 0; i < count; i++, value += _size)
            {
                Vector512<float> v0 = Vector512.Load(value), v1 = Vector512.Load(value + 16), v2 = Vector512.Load(value + 32), v3 = Vector512.Load(value + 48);
                Vector512<float> x = Vector512.Create(weight[i]), y = Vector512.Create(weight[Tile + i]), z = Vector512.Create(weight[2 * Tile + i]);
                a0 = Vector512.FusedMultiplyAdd(x, v0, a0);
                a1 = Vector512.FusedMultiplyAdd(x, v1, a1);
                a2 = Vector512.FusedMultiplyAdd(x, v2, a2);
                a3 = Vector512.FusedMultiplyAdd(x, v3, a3);
                b0 = Vector512.FusedMultiplyAdd(y, v0, b0);
                b1 = Vector512.FusedMultiplyAdd(y, v1, b1);
                b2 = Vector512.FusedMultiplyAdd(y, v2, b2);
                b3 = Vector512.FusedMultiplyAdd(y, v3, b3);
                c0 = Vector512.FusedMultiplyAdd(z, v0, c0);
                c1 = Vector512.FusedMultiplyAdd(z, v1, c1);
                c2 = Vector512.FusedMultiplyAdd(z, v2, c2);
                c3 = Vector512.FusedMultiplyAdd(z, v3, c3);
            }
            StoreFour(a, a0, a1, a2, a3);
            StoreFour(b, b0, b1, b2, b3);
            StoreFour(c, c0, c1, c2, c3);
        }
        for (int query = index; query < index + 3; query++)
        {
            SumRest(query, count, place);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void SumOne(int index, int count) => SumRest(index, count, 0);

    private void SumRest(int index, int count, int place)
    {
        float* weight = _score + index * Tile;
        for (; place < _size; place += VectorMath.Width)
        {
            float* target = _sum + index * _size + place, value = _valueTile + place;
            var sum = Vector512.Load(target);
            for (int i = 0; i < count; i++, value += _size)
            {
                sum = Vector512.FusedMultiplyAdd(Vector512.Create(weight[i]), Vector512.Load(value), sum);
            }
            sum.Store(target);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreFour(float* target, Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        a.Store(target);
        b.Store(target + 16);
        c.Store(target + 32);
        d.Store(target + 48);
    }
}
