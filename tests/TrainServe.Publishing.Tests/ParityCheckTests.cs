using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Inference.Execution;
using TrainServe.Model;
using TrainServe.TestSupport;

namespace TrainServe.Publishing.Tests;

public sealed class ParityCheckTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly OnnxModelRunner _runner;
    private readonly ParitySequence[] _reference;

    public ParityCheckTests()
    {
        TorchRuntime.Initialize();
        var package = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, maxPositions: 128));
        using (var weights = package.OpenWeights())
        {
            OnnxExporter.Export(package.Config, weights, _directory.PathOf("onnx"), ExportPrecision.Fp32);
        }
        _reference = [.. TorchReference.Compute(package)];
        _runner = OnnxModelRunner.Open(_directory.PathOf("onnx", OnnxExporter.GraphFile), package.Config, new RunnerOptions { Slots = ParityPrompts.Count, ContextLength = 128 });
    }

    public void Dispose()
    {
        _runner.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public void Every_way_of_running_the_graph_gives_the_network_s_logits()
    {
        var check = new ParityCheck(_runner, _reference);
        foreach (double error in new[] { check.TeacherForced(), check.InChunks(), check.TokenByToken(), check.Batched() })
        {
            Assert.InRange(error, 1e-9, 1e-4);
        }
        Assert.Equal((ParityPrompts.GreedyTokens, 8, 0), check.Greedy(noise: 1e-5));
    }

    [Fact]
    public void One_wrong_logit_anywhere_is_seen_by_each_comparison()
    {
        // The last position of a short text is reached by all of them.
        var sequence = _reference[3];
        sequence.Logits[(sequence.Ids.Length - 1) * sequence.VocabSize + 17] += 0.5f;
        var check = new ParityCheck(_runner, _reference);
        foreach (double error in new[] { check.TeacherForced(), check.InChunks(), check.TokenByToken(), check.Batched() })
        {
            Assert.InRange(error, 0.49, 0.51);
        }
    }

    [Fact]
    public void A_logit_that_is_not_a_number_is_not_taken_for_equal()
    {
        _reference[^1].Logits[5] = float.NaN;
        Assert.True(double.IsNaN(new ParityCheck(_runner, _reference).TeacherForced()));
    }

    [Fact]
    public void A_different_continuation_is_excused_only_at_a_near_tie()
    {
        var sequence = _reference[2];
        sequence.Ids[sequence.PromptLength + 10] ^= 1;
        double lead = sequence.Lead(sequence.PromptLength + 9);
        var check = new ParityCheck(_runner, _reference);
        Assert.Equal((64, 7, 0), check.Greedy(noise: lead / 2.1));
        Assert.Equal((64, 7, 1), check.Greedy(noise: lead / 1.9));
    }

    [Fact]
    public void The_lead_is_the_distance_of_the_two_largest_logits() =>
        Assert.Equal(1.5, new ParitySequence([0, 0], 1, [1, 2, 3, 4, 7, 5.5f]).Lead(1));
}
