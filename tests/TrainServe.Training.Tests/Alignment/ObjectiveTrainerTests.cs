using System.Runtime.InteropServices;
using TorchSharp.Modules;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.TestSupport;
using TrainServe.Training.Alignment;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Recipes;
using TrainServe.Training.Tests.Loops;

namespace TrainServe.Training.Tests.Alignment;

[Collection(TorchFixture.Generator)]
public sealed class ObjectiveTrainerTests
{
    [Theory]
    [InlineData("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.", true)]
    [InlineData("mat1 and mat2 shapes cannot be multiplied", false)]
    public void A_step_that_does_not_fit_into_memory_is_one_sentence_that_says_what_to_change(string fault, bool isMemory)
    {
        using var files = new TemporaryDirectory();
        using var objective = new FailingObjective(new ExternalException(fault));
        using var model = new TrainServe.Model.Transformer(TinyModels.Config());
        var trainer = new ObjectiveTrainer(new ObjectiveSetup
        {
            Objective = objective,
            Measuring = new ValidationSection { EverySteps = 100 },
            Saving = new CheckpointSection(),
            Kernels = KernelChoices.Of(model),
            Identity = new RunIdentity("test", new Dictionary<string, string>(StringComparer.Ordinal), "tokenizer", new Dictionary<string, string>(StringComparer.Ordinal)),
            Directory = files.PathOf("run"),
            Time = TimeProvider.System,
            Display = new RecordingDisplay(),
        });
        Directory.CreateDirectory(files.PathOf("run"));
        var error = Assert.ThrowsAny<Exception>(() => trainer.Run(resume: false));
        Assert.Equal(isMemory ? "There is not enough memory for step 1; lower the recipe's micro_batch_rows in a new run, or go on with activation_checkpointing=true. The checkpoints are as they were." : fault, error.Message);
    }

    private sealed class FailingObjective(Exception fault) : IObjective
    {
        public long TotalSteps => 1;
        public ObjectiveState State => new();
        public IEnumerable<Parameter> Parameters => [];

        public void Begin(Action<string> note, CancellationToken stop)
        {
        }

        public ObjectiveStep Advance(long step) => throw fault;

        public ObjectiveMeasurement? Measure(CancellationToken stop) => null;

        public Dictionary<string, IReadOnlyList<SafeTensor>> Weights() => [];

        public void AddRest(Dictionary<string, IReadOnlyList<SafeTensor>> files)
        {
        }

        public void Restore(Checkpoint checkpoint, ObjectiveState state)
        {
        }

        public void RestoreWeights(Checkpoint best)
        {
        }

        public void Dispose()
        {
        }
    }
}
