using CsCheck;
using Microsoft.ML.OnnxRuntime;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Export.Protos;
using static TrainServe.Export.GraphWriter;
using static TrainServe.Inference.Tests.Kernels.OperatorGraph;

namespace TrainServe.Inference.Tests.Kernels;

// B batch, S new tokens of each, H query heads, K key-value heads, P head size, M cache capacity.

public sealed class CachedAttentionTests
{
    private const int Capacity = 200;

    private static readonly int[] HeadSizes = [16, 32, 64, 80, 128];

    private static readonly (string, Type)[] Outputs = [("out", typeof(float)), ("present_k", typeof(sbyte)), ("present_v", typeof(sbyte))];

    private static readonly (string, Type)[] Inputs =
    [
        ("qkv", typeof(float)), ("past_k", typeof(sbyte)), ("past_v", typeof(sbyte)), ("last", typeof(int)), ("total", typeof(int)),
        ("cos", typeof(float)), ("sin", typeof(float)), ("k_scale", typeof(float)), ("v_scale", typeof(float)),
    ];

    private static readonly Gen<(int Group, int KeyValueHeads, int Size)> Heads = Gen.Select(Gen.Int[1, 4], Gen.Int[1, 3], Gen.Int[0, 4].Select(i => HeadSizes[i]));

    [Fact]
    public void It_gives_what_the_runtimes_own_operator_gives_for_prompts() => Heads.Select(Gen.Int[2, 90], Gen.Int[0, 100], Gen.Int[1, 1000]).Sample(
        (heads, tokens, cached, seed) => RequireSame(new Problem(heads, seed) { NewTokens = tokens, Last = [cached + tokens - 1] }), iter: 40, threads: 1);

    [Fact]
    public void It_gives_what_the_runtimes_own_operator_gives_for_a_token_of_each_sequence() => Heads.Select(Gen.Int[0, Capacity - 1].Array[1, 9], Gen.Int[1, 1000]).Sample(
        (heads, last, seed) => RequireSame(new Problem(heads, seed) { NewTokens = 1, Last = last }), iter: 40, threads: 1);

    [Fact]
    public void A_text_in_pieces_gives_the_bits_of_the_whole_text() => Heads.Select(Gen.Int[2, 180], Gen.Int[1, 40], Gen.Int[1, 1000]).Sample((heads, tokens, piece, seed) =>
    {
        var whole = new Problem(heads, seed) { NewTokens = tokens, Last = [tokens - 1] };
        using var graph = Own(heads);
        var expected = whole.Run(graph);
        var result = new List<float>();
        for (int start = 0; start < tokens; start += piece)
        {
            int take = Math.Min(piece, tokens - start);
            var part = new Problem(heads, seed) { NewTokens = take, Last = [start + take - 1], Queries = whole.Queries[(start * whole.Width)..((start + take) * whole.Width)], Keys = whole.Keys, Values = whole.Values };
            var step = part.Run(graph);
            result.AddRange((float[])step[0]);
            (whole.Keys, whole.Values) = ((sbyte[])step[1], (sbyte[])step[2]);
        }
        Assert.Equal((float[])expected[0], result);
        Assert.Equal((sbyte[])expected[1], whole.Keys);
        Assert.Equal((sbyte[])expected[2], whole.Values);
    }, iter: 30, threads: 1);

    [Fact]
    public void Scales_of_rows_are_multiplied_in_first()
    {
        var heads = (Group: 3, KeyValueHeads: 2, Size: 32);
        var problem = new Problem(heads, 5) { NewTokens = 6, Last = [20] };
        using OperatorGraph plain = Own(heads), scaled = Own(heads, hasScales: true);
        float[] scales = [0.5f, 2, 0.25f, 1, 4, 8], queries = problem.Queries;
        // Powers of two, so that dividing and multiplying again loses nothing.
        float[] divided = [.. queries.Select((value, i) => value / scales[i / problem.Width])];

        var expected = problem.Run(plain);
        problem.Queries = divided;
        var actual = problem.Run(scaled, ("scales", scales, [6]));

        Assert.Equal((float[])expected[0], (float[])actual[0]);
        Assert.Equal((sbyte[])expected[1], (sbyte[])actual[1]);
    }

    [Fact]
    public void A_sequence_that_does_not_fit_its_cache_is_an_error_of_the_run()
    {
        var heads = (Group: 1, KeyValueHeads: 1, Size: 16);
        using var graph = Own(heads);

        var error = Assert.Throws<OnnxRuntimeException>(() => new Problem(heads, 1) { NewTokens = 1, Last = [Capacity] }.Run(graph));

        Assert.Contains("longer than its cache", error.Message, StringComparison.Ordinal);
    }

    private static void RequireSame(Problem problem)
    {
        using OperatorGraph own = Own(problem.Heads), reference = Reference(problem.Heads);
        IReadOnlyList<Array> expected = problem.Run(reference), actual = problem.Run(own);
        Assert.Equal(problem.Valid((sbyte[])expected[1]), problem.Valid((sbyte[])actual[1]));
        Assert.Equal(problem.Valid((sbyte[])expected[2]), problem.Valid((sbyte[])actual[2]));
        float worst = ((float[])expected[0]).Zip((float[])actual[0], (x, y) => Math.Abs(x - y)).Max();
        Assert.InRange(worst, 0, 1e-5f);
    }

    private static OperatorGraph Own((int Group, int KeyValueHeads, int Size) heads, bool hasScales = false)
    {
        string[] inputs = ["qkv", "past_k", "past_v", "last", "total", "cos", "sin", "k_scale", "v_scale"];
        return new OperatorGraph([Node("CachedAttention", GraphNames.KernelDomain, hasScales ? [.. inputs, "scales"] : inputs, ["out", "present_k", "present_v"], Attributes(heads))],
            hasScales ? [.. Inputs, ("scales", typeof(float))] : Inputs, Outputs);
    }

    private static OperatorGraph Reference((int Group, int KeyValueHeads, int Size) heads)
    {
        string[] inputs = ["sequences", "", "", "past_k", "past_v", "last", "total", "cos", "sin", "", "", "", "k_scale", "v_scale"];
        var attention = Node("GroupQueryAttention", "com.microsoft", inputs, ["out", "present_k", "present_v"],
            [.. Attributes(heads), Integer("do_rotary", 1), Text("k_quant_type", "PER_CHANNEL"), Text("v_quant_type", "PER_CHANNEL"), Integer("kv_cache_bit_width", 8)]);
        return new OperatorGraph([Node("Reshape", "", ["qkv", "shape"], ["sequences"]), attention], [.. Inputs, ("shape", typeof(long))], Outputs);
    }

    private static AttributeProto[] Attributes((int Group, int KeyValueHeads, int Size) heads) =>
        [Integer("num_heads", heads.Group * heads.KeyValueHeads), Integer("kv_num_heads", heads.KeyValueHeads), Float("scale", (float)(1 / Math.Sqrt(heads.Size)))];

    /// <summary>Random inputs of the operator.</summary>
    private sealed class Problem((int Group, int KeyValueHeads, int Size) heads, int seed)
    {
        private readonly PhiloxRandom _random = new((ulong)seed);

        public (int Group, int KeyValueHeads, int Size) Heads => heads;

        public int Width => (heads.Group + 2) * heads.KeyValueHeads * heads.Size;

        public required int NewTokens { get; init; }

        public required int[] Last { get; init; }

        public float[] Queries { get => field ??= Numbers(Last.Length * NewTokens * Width); set; }

        public sbyte[] Keys { get => field ??= Bytes(); set; }

        public sbyte[] Values { get => field ??= Bytes(); set; }

        public IReadOnlyList<Array> Run(OperatorGraph graph, params (string, Array, long[])[] more)
        {
            int batch = Last.Length, half = heads.Size / 2;
            var angles = Enumerable.Range(0, Capacity).SelectMany(position => Enumerable.Range(0, half).Select(i => position * Math.Pow(10000, -(double)i / half))).ToArray();
            float[] cos = Array.ConvertAll(angles, angle => (float)Math.Cos(angle)), sin = Array.ConvertAll(angles, angle => (float)Math.Sin(angle));
            float[] steps = [.. Enumerable.Range(0, heads.KeyValueHeads * heads.Size).Select(i => 0.01f + 0.0001f * i)];
            long[] cache = [batch, heads.KeyValueHeads, Capacity, heads.Size], places = [1, heads.KeyValueHeads, 1, heads.Size];
            (string, Array, long[])[] inputs =
            [
                ("qkv", Queries, [batch * NewTokens, Width]), ("past_k", Keys, cache), ("past_v", Values, cache), ("last", Last, [batch]), ("total", new[] { Last.Max() + 1 }, [1]),
                ("cos", cos, [Capacity, half]), ("sin", sin, [Capacity, half]), ("k_scale", steps, places), ("v_scale", steps, places), .. more,
            ];
            return graph.Run(graph.Takes("shape") ? [.. inputs, ("shape", new long[] { batch, NewTokens, Width }, [3])] : inputs);
        }

        /// <summary>What is cached up to the last token of each sequence.</summary>
        public sbyte[] Valid(sbyte[] cache) =>
            [.. Enumerable.Range(0, Last.Length * heads.KeyValueHeads).SelectMany(i => cache.Skip(i * Capacity * heads.Size).Take((Last[i / heads.KeyValueHeads] + 1) * heads.Size))];

        private float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)(_random.NextDouble() * 2 - 1))];

        private sbyte[] Bytes() => [.. Enumerable.Range(0, Last.Length * heads.KeyValueHeads * Capacity * heads.Size).Select(_ => (sbyte)(_random.NextInt32(200) - 100))];
    }
}
