using TrainServe.Core;
using TrainServe.Export;
using TrainServe.Inference.Execution;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests.Execution;

/// <summary>The graph for GPUs. The processor runs it too, slowly, so that it can be certified anywhere.</summary>
public sealed class HalfPrecisionTests
{
    // Half precision has eleven bits; logits of these models are of the size of 1.
    private const double Noise = 0.01;

    private static readonly ModelConfig[] Shapes =
    [
        TinyModels.Config(vocabSize: 40, hiddenSize: 32, heads: 4, keyValueHeads: 2, tied: true),
        TinyModels.Config(vocabSize: 40, hiddenSize: 64, intermediateSize: 80, heads: 4, keyValueHeads: 1),
    ];

    public static TheoryData<int, string> ShapesOnDevices => new(from shape in Enumerable.Range(0, Shapes.Length) from device in new[] { "cpu", "cuda" } select (shape, device));

    [Theory]
    [MemberData(nameof(ShapesOnDevices))]
    public void Logits_are_those_of_the_double_precision_reference_within_the_noise_of_half_precision(int shape, string device)
    {
        using var model = new ExportedModel(Shapes[shape], precision: ExportPrecision.Fp16);
        using var runner = model.OpenRunner(device: Open(device));
        int[] ids = model.Text(40);
        double[] expected = [.. model.Reference.Logits(ids).SelectMany(row => row)];

        float[] actual = runner.Prefill(0, 0, ids, allLogits: true).ToArray();

        Assert.InRange(expected.Max(Math.Abs), 0.1, 50);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, Noise));
        Assert.False(runner.HasEightBitCache);
    }

    [Theory]
    [MemberData(nameof(ShapesOnDevices))]
    public void Chunks_batches_and_copied_slots_give_the_logits_of_the_whole_text(int shape, string device)
    {
        using var model = new ExportedModel(Shapes[shape], precision: ExportPrecision.Fp16);
        using var runner = model.OpenRunner(slots: 3, Open(device));
        int width = model.Config.VocabSize;
        int[] ids = model.Text(40);
        float[] whole = runner.Prefill(0, 0, ids, allLogits: true).ToArray();

        RequireNear(20, runner.Prefill(1, 0, ids.AsSpan(0, 21), allLogits: false));
        RequireNear(29, runner.Prefill(1, 21, ids.AsSpan(21, 9), allLogits: false));
        runner.CopySlot(1, 2, 30);
        runner.CopySlot(1, 0, 30);
        for (int position = 30; position < 40; position++)
        {
            var logits = runner.Decode([ids[position], ids[position], ids[position]], [position, position, position]);
            for (int row = 0; row < 3; row++)
            {
                RequireNear(position, logits.Slice(row * width, width));
            }
        }

        void RequireNear(int position, ReadOnlySpan<float> logits)
        {
            for (int i = 0; i < width; i++)
            {
                Assert.Equal(whole[position * width + i], logits[i], Noise);
            }
        }
    }

    [Fact]
    public void The_cache_takes_half_the_memory()
    {
        using var half = new ExportedModel(Shapes[0], precision: ExportPrecision.Fp16);
        using var single = new ExportedModel(Shapes[0]);
        using OnnxModelRunner halfRunner = half.OpenRunner(), singleRunner = single.OpenRunner();

        Assert.Equal(singleRunner.CacheSizeBytes, 2 * halfRunner.CacheSizeBytes);
    }

    private static InferenceDevice Open(string device)
    {
        try
        {
            return InferenceDevice.Open(device, out _);
        }
        catch (InvalidDataException error)
        {
            Assert.Skip(error.Message);
            throw;
        }
    }
}
