using CsCheck;
using TrainServe.Core;
using TrainServe.Export;
using TrainServe.Inference.Execution;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests.Execution;

/// <summary>With an eight-bit cache a graph gives the same bits whatever way a text takes through it.</summary>
public sealed class QuantizedRunnerTests
{
    // Head sizes 8 (widened), 16 and 24 (widened); rows with and without whole blocks; tied and untied.
    private static readonly ModelConfig[] Shapes =
    [
        TinyModels.Config(vocabSize: 40, hiddenSize: 32, heads: 4, keyValueHeads: 2, tied: true),
        TinyModels.Config(vocabSize: 40, hiddenSize: 64, intermediateSize: 80, heads: 4, keyValueHeads: 1),
        TinyModels.Config(vocabSize: 40, hiddenSize: 48, heads: 2, keyValueHeads: 2, tied: true),
        TinyModels.Config(vocabSize: 40, hiddenSize: 128, intermediateSize: 192, heads: 4, keyValueHeads: 4, tied: true),
    ];

    public static TheoryData<int, string> Exports => new(from shape in Enumerable.Range(0, Shapes.Length) from precision in new[] { "int8", "int4" } select (shape, precision));

    [Theory]
    [MemberData(nameof(Exports))]
    public void A_text_in_any_pieces_in_any_slot_gives_the_logits_of_the_whole_text(int shape, string precision)
    {
        using var model = new ExportedModel(Shapes[shape], precision: ExportPrecision.Parse(precision));
        using var runner = model.OpenRunner(slots: 3);
        int[] ids = model.Text(48);
        float[] whole = runner.Prefill(0, 0, ids, allLogits: true).ToArray();
        Gen.Select(Gen.Int[1, 17].Array[30], Gen.Int[0, 2]).Sample((pieces, slot) =>
        {
            var logits = new List<float>();
            for (int start = 0, piece = 0; start < ids.Length; piece++)
            {
                int take = Math.Min(pieces[piece % pieces.Length], ids.Length - start);
                logits.AddRange(runner.Prefill(slot, start, ids.AsSpan(start, take), allLogits: true));
                start += take;
            }
            Assert.Equal(whole, logits);
        }, iter: 25, threads: 1);
    }

    [Theory]
    [MemberData(nameof(Exports))]
    public void Decoding_in_any_batch_gives_the_logits_of_the_whole_text(int shape, string precision)
    {
        using var model = new ExportedModel(Shapes[shape], precision: ExportPrecision.Parse(precision));
        using var runner = model.OpenRunner(slots: 9);
        int width = model.Config.VocabSize;
        int[][] texts = [.. Enumerable.Range(0, 9).Select(i => model.Text(40, seed: (ulong)i))];
        float[][] whole = [.. texts.Select(ids => runner.Prefill(0, 0, ids, allLogits: true).ToArray())];
        Gen.Select(Gen.Shuffle(Enumerable.Range(0, 9).ToArray()), Gen.Int[1, 9], Gen.Int[1, 25].Array[9]).Sample((order, rows, lengths) =>
        {
            for (int slot = 0; slot < rows; slot++)
            {
                runner.Prefill(slot, 0, texts[order[slot]].AsSpan(0, lengths[slot]), allLogits: false);
            }
            for (int step = 0; step < 10; step++)
            {
                int[] cached = [.. lengths.Take(rows).Select(length => length + step)];
                var logits = runner.Decode([.. cached.Select((length, slot) => texts[order[slot]][length])], cached);
                for (int slot = 0; slot < rows; slot++)
                {
                    Assert.Equal(whole[order[slot]].AsSpan(cached[slot] * width, width), logits.Slice(slot * width, width));
                }
            }
        }, iter: 25, threads: 1);
    }

    [Theory]
    [MemberData(nameof(Exports))]
    public void Few_bits_stay_near_the_double_precision_reference(int shape, string precision)
    {
        using var model = new ExportedModel(Shapes[shape], precision: ExportPrecision.Parse(precision));
        using var runner = model.OpenRunner();
        int[] ids = model.Text(40);
        double[] expected = [.. model.Reference.Logits(ids).SelectMany(row => row)];

        float[] actual = runner.Prefill(0, 0, ids, allLogits: true).ToArray();

        double error = Math.Sqrt(expected.Zip(actual, (x, y) => (x - y) * (x - y)).Sum() / expected.Sum(x => x * x));
        Assert.InRange(error, 1e-4, precision == "int8" ? 0.1 : 0.4);
    }

    [Fact]
    public void An_eight_bit_cache_takes_a_quarter_of_the_memory()
    {
        var config = Shapes[0];
        using var single = new ExportedModel(config);
        using var eight = new ExportedModel(config, precision: ExportPrecision.Int8);
        using OnnxModelRunner first = single.OpenRunner(), second = eight.OpenRunner();

        Assert.Equal(first.CacheSizeBytes, 4 * second.CacheSizeBytes);
        Assert.Throws<InvalidOperationException>(() => second.LargestCached(0, 0, 1));
    }
}
