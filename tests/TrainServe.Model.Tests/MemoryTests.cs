using TorchSharp;
using TrainServe.TestSupport;
using static TorchSharp.torch;

namespace TrainServe.Model.Tests;

/// <summary>Measures the process, so nothing else may run beside it.</summary>
[CollectionDefinition(nameof(MemoryTests), DisableParallelization = true)]
public sealed class MemoryCollection;

[Collection(nameof(MemoryTests))]
public sealed class MemoryTests
{
    [Fact]
    [Trait("Category", "Slow")]
    public void Three_hundred_training_steps_keep_the_memory_of_the_process_flat()
    {
        using var model = RandomModels.Create(TinyModels.Config(vocabSize: 512, hiddenSize: 64, intermediateSize: 172, layers: 4, heads: 4, keyValueHeads: 2), dropout: 0.1f);
        model.train();
        var weights = model.parameters().ToArray();
        var ids = RandomModels.Ids(8 * 64 + 1, 512);
        Train(40);
        long tensors = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount, before = LeastOver(60), after = LeastOver(200);
        Assert.Equal(tensors, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
        // The logits alone are 1 MB a step: one of them lost a step would show 200 MB.
        Assert.InRange((after - before) / 1048576.0, -4096, 50);

        // The allocator gives memory back in its own time; what counts is how little is enough.
        long LeastOver(int steps)
        {
            long least = long.MaxValue;
            for (int done = 0; done < steps; done += 10)
            {
                Train(10);
                least = Math.Min(least, Environment.WorkingSet);
            }
            return least;
        }

        void Train(int steps)
        {
            for (int step = 0; step < steps; step++)
            {
                using var scope = NewDisposeScope();
                var inputs = tensor([.. ids[..^1].Select(id => (long)id)], [8, 64]);
                var targets = tensor([.. ids[1..].Select(id => (long)id)], [8, 64]);
                var loss = CrossEntropy.Mean(model.call(inputs), targets);
                loss.backward();
                Descend();
                Assert.True(float.IsFinite(loss.item<float>()));
            }
        }

        // Not TorchSharp's optimizers: they leave hundreds of megabytes to the garbage collector.
        void Descend()
        {
            using var noGradient = no_grad();
            foreach (var weight in weights)
            {
                var gradient = weight.grad!;
                weight.sub_(gradient * LiveScalar.Of(0.1));
                gradient.zero_();
            }
        }
    }
}
