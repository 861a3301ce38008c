using TrainServe.Core;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests.Execution;

public sealed class OnnxModelRunnerTests
{
    private const double ExactToSingle = 1e-5, ExactToPath = 1e-4;

    // Head sizes 8 (widened to 16), 16, 24 (widened to 32) and 32; grouped, multi-query and plain heads; tied and untied.
    public static TheoryData<int, int, int, bool> Shapes => new()
    {
        { 8, 4, 2, true }, { 8, 4, 4, false }, { 16, 4, 2, false }, { 16, 2, 2, true }, { 24, 4, 1, true }, { 32, 2, 1, false }, { 32, 4, 2, true },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Logits_equal_a_double_precision_reference(int headSize, int heads, int keyValueHeads, bool tied)
    {
        using var model = new ExportedModel(TinyModels.Config(hiddenSize: headSize * heads, heads: heads, keyValueHeads: keyValueHeads, tied: tied));
        using var runner = model.OpenRunner();
        int[] ids = model.Text(40);

        var logits = runner.Prefill(0, 0, ids, allLogits: true);

        Assert.Equal(ids.Length * model.Config.VocabSize, logits.Length);
        AssertNear(model.Reference.Logits(ids), logits, ExactToSingle);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(39)]
    public void Prefill_in_chunks_equals_whole_prefill(int chunk)
    {
        using var model = new ExportedModel(TinyModels.Config());
        using var runner = model.OpenRunner();
        int[] ids = model.Text(40);
        float[] whole = runner.Prefill(0, 0, ids, allLogits: true).ToArray();

        var chunked = new List<float>();
        for (int start = 0; start < ids.Length; start += chunk)
        {
            chunked.AddRange(runner.Prefill(0, start, ids.AsSpan(start, Math.Min(chunk, ids.Length - start)), allLogits: true));
        }

        AssertNear(whole, [.. chunked], ExactToPath);
    }

    [Fact]
    public void Token_by_token_equals_whole_prefill()
    {
        using var model = new ExportedModel(TinyModels.Config());
        using var runner = model.OpenRunner();
        int[] ids = model.Text(40);
        float[] whole = runner.Prefill(0, 0, ids, allLogits: true).ToArray();

        var single = new List<float>();
        for (int t = 0; t < ids.Length; t++)
        {
            single.AddRange(runner.Prefill(0, t, ids.AsSpan(t, 1), allLogits: true));
        }

        AssertNear(whole, [.. single], ExactToPath);
    }

    [Fact]
    public void Without_all_logits_a_prefill_gives_those_after_its_last_token()
    {
        using var model = new ExportedModel(TinyModels.Config());
        using var runner = model.OpenRunner();
        int[] ids = model.Text(9);
        float[] all = runner.Prefill(0, 0, ids, allLogits: true).ToArray();

        Assert.Equal(all[^model.Config.VocabSize..], runner.Prefill(0, 0, ids, allLogits: false).ToArray());
    }

    [Fact]
    public void Decoding_sequences_of_different_lengths_in_one_batch_equals_decoding_each_alone()
    {
        using var model = new ExportedModel(TinyModels.Config());
        using var runner = model.OpenRunner(slots: 4);
        int[][] texts = [model.Text(12, seed: 1), model.Text(3, seed: 2), model.Text(30, seed: 3), model.Text(4, seed: 4)];
        int[] promptLengths = [10, 1, 28, 2];
        float[][] alone = [.. texts.Select((ids, slot) =>
        {
            runner.Prefill(0, 0, ids.AsSpan(0, promptLengths[slot]), allLogits: false);
            float[] first = runner.Decode([ids[promptLengths[slot]]], [promptLengths[slot]]).ToArray();
            return (float[])[.. first, .. runner.Decode([ids[promptLengths[slot] + 1]], [promptLengths[slot] + 1])];
        })];

        for (int slot = 0; slot < texts.Length; slot++)
        {
            runner.Prefill(slot, 0, texts[slot].AsSpan(0, promptLengths[slot]), allLogits: false);
        }
        float[] firstStep = runner.Decode([.. texts.Select((ids, slot) => ids[promptLengths[slot]])], promptLengths).ToArray();
        float[] secondStep = runner.Decode([.. texts.Select((ids, slot) => ids[promptLengths[slot] + 1])], [.. promptLengths.Select(length => length + 1)]).ToArray();

        int width = model.Config.VocabSize;
        for (int slot = 0; slot < texts.Length; slot++)
        {
            Assert.Equal(alone[slot][..width], firstStep[(slot * width)..((slot + 1) * width)]);
            Assert.Equal(alone[slot][width..], secondStep[(slot * width)..((slot + 1) * width)]);
            AssertNear(model.Reference.Logits(texts[slot].AsSpan(0, promptLengths[slot] + 2))[^1], secondStep[(slot * width)..((slot + 1) * width)], ExactToSingle);
        }
    }

    [Fact]
    public void A_copied_slot_continues_as_the_original()
    {
        using var model = new ExportedModel(TinyModels.Config());
        using var runner = model.OpenRunner(slots: 3);
        int[] ids = model.Text(20);
        runner.Prefill(0, 0, ids.AsSpan(0, 19), allLogits: false);
        runner.Prefill(2, 0, model.Text(33, seed: 9), allLogits: false);
        float[] expected = runner.Prefill(0, 19, ids.AsSpan(19), allLogits: false).ToArray();

        runner.CopySlot(from: 0, to: 2, tokens: 19);

        Assert.Equal(expected, runner.Prefill(2, 19, ids.AsSpan(19), allLogits: false).ToArray());
    }

    [Fact]
    public void What_a_slot_held_before_does_not_show()
    {
        using var model = new ExportedModel(TinyModels.Config());
        using var runner = model.OpenRunner();
        int[] ids = model.Text(5);
        float[] fresh = runner.Prefill(0, 0, ids, allLogits: true).ToArray();
        runner.Prefill(0, 0, model.Text(model.Config.MaxPositionEmbeddings, seed: 3), allLogits: false);

        Assert.Equal(fresh, runner.Prefill(0, 0, ids, allLogits: true).ToArray());
    }

    [Fact]
    public void The_last_position_of_the_context_can_be_used_and_none_after_it()
    {
        using var model = new ExportedModel(TinyModels.Config(maxPositions: 16));
        using var runner = model.OpenRunner();
        int[] ids = model.Text(16);
        runner.Prefill(0, 0, ids.AsSpan(0, 15), allLogits: false);

        AssertNear(model.Reference.Logits(ids)[^1], runner.Decode([ids[15]], [15]), ExactToSingle);

        Assert.Throws<ArgumentOutOfRangeException>(() => { runner.Decode([ids[0]], [16]); });
        Assert.Throws<ArgumentOutOfRangeException>(() => { runner.Prefill(0, 15, ids.AsSpan(0, 2), allLogits: false); });
    }

    [Fact]
    public void A_decode_step_allocates_nothing_once_its_shape_was_used()
    {
        using var model = new ExportedModel(TinyModels.Config());
        using var runner = model.OpenRunner(slots: 3);
        int[] ids = [1, 2, 3], lengths = [4, 4, 4];
        runner.Decode(ids, lengths);
        runner.Decode(ids, lengths);

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < 20; step++)
        {
            runner.Decode(ids, lengths);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void A_token_outside_the_vocabulary_is_refused()
    {
        using var model = new ExportedModel(TinyModels.Config());
        using var runner = model.OpenRunner();

        Assert.Throws<ArgumentOutOfRangeException>(() => { runner.Prefill(0, 0, [model.Config.VocabSize], allLogits: false); });
        Assert.Throws<ArgumentOutOfRangeException>(() => { runner.Decode([-1], [0]); });
    }

    [Fact]
    public void A_graph_of_another_shape_than_the_config_is_refused()
    {
        using var model = new ExportedModel(TinyModels.Config());

        var error = Assert.Throws<InvalidDataException>(() => Execution(model.Config with { NumHiddenLayers = 3 }));
        Assert.Contains("2 layers", error.Message, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => Execution(model.Config with { VocabSize = 31 }));

        void Execution(ModelConfig config) => Inference.Execution.OnnxModelRunner.Open(model.GraphPath, config, new() { Slots = 1, ContextLength = 8, Threads = 1 }).Dispose();
    }

    private static void AssertNear(double[][] expected, ReadOnlySpan<float> actual, double tolerance) => AssertNear([.. expected.SelectMany(row => row)], actual, tolerance);

    private static void AssertNear(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        double worst = 0;
        for (int i = 0; i < actual.Length; i++)
        {
            worst = Math.Max(worst, Math.Abs(expected[i] - actual[i]));
        }
        Assert.True(worst <= tolerance, $"Logits differ by {worst:G3}.");
    }

    private static void AssertNear(float[] expected, float[] actual, double tolerance) => AssertNear(Array.ConvertAll(expected, value => (double)value), actual, tolerance);
}
