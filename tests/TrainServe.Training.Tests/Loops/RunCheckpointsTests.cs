using TorchSharp;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;
using TrainServe.Training.Tests.Distributed;
using Parameter = TorchSharp.Modules.Parameter;

namespace TrainServe.Training.Tests.Loops;

[Collection(TorchFixture.Generator)]
public sealed class RunCheckpointsTests : IDisposable
{
    private readonly TemporaryDirectory _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Processes_whose_weights_differ_save_nothing()
    {
        var error = Assert.Throws<InvalidOperationException>(() => ThreadGroup.Run(2, group =>
        {
            Save(Begun(group, "run"), step: 3, weight: group.Rank);
            return 0;
        }));
        Assert.StartsWith("After step 3 the processes have different weights; they must run the same build on like processors.", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_files.PathOf("run", RunCheckpoints.CheckpointsDirectory)));
    }

    [Fact]
    public void The_first_process_writes_what_all_of_them_find()
    {
        var steps = ThreadGroup.Run(3, group =>
        {
            var checkpoints = Begun(group, "run");
            Save(checkpoints, step: 3, weight: 1);
            group.Wait();
            return checkpoints.Latest()!.Step;
        });
        Assert.Equal([3L, 3, 3], steps);
        Assert.Single(Directory.GetDirectories(_files.PathOf("run", RunCheckpoints.CheckpointsDirectory)));
    }

    [Fact]
    public void Processes_that_see_different_directories_are_told_so()
    {
        Save(Begun(SingleProcess.Instance, "one"), step: 3, weight: 1);
        var error = Assert.Throws<InvalidDataException>(() => ThreadGroup.Run(2, group => Begun(group, group.IsFirst ? "one" : "other").Latest()));
        Assert.EndsWith("; it must be one directory that all of them see.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stop_or_a_due_checkpoint_is_agreed_on_and_only_the_firsts_clock_counts()
    {
        using var asked = new CancellationTokenSource();
        asked.Cancel();
        Assert.All(ThreadGroup.Run(2, group => Begun(group, "run", everySteps: 5).Agreed(group.IsFirst ? CancellationToken.None : asked.Token, step: 1)), agreed => Assert.Equal((true, false), agreed));
        Assert.All(ThreadGroup.Run(2, group => Begun(group, "run", everySteps: group.IsFirst ? 5 : 1).Agreed(CancellationToken.None, step: 3)), agreed => Assert.Equal((false, false), agreed));
        Assert.All(ThreadGroup.Run(2, group => Begun(group, "run", everySteps: group.IsFirst ? 3 : 5).Agreed(CancellationToken.None, step: 3)), agreed => Assert.Equal((false, true), agreed));
    }

    private RunCheckpoints Begun(IProcessGroup group, string directory, int everySteps = 1)
    {
        var identity = new RunIdentity("test", new Dictionary<string, string>(StringComparer.Ordinal), "tokenizer", new Dictionary<string, string>(StringComparer.Ordinal));
        var checkpoints = new RunCheckpoints(new Place
        {
            Measuring = new ValidationSection(),
            Saving = new CheckpointSection { EverySteps = everySteps, EverySeconds = 0 },
            Identity = identity,
            Directory = _files.PathOf(directory),
            Time = TimeProvider.System,
            Display = new RecordingDisplay(),
            Processes = group,
        }, new TrainingEnvironment("build", "libtorch", 1, "processor", "kernels"));
        checkpoints.Begin();
        return checkpoints;
    }

    private static void Save(RunCheckpoints checkpoints, long step, float weight)
    {
        using var scope = torch.NewDisposeScope();
        var state = new TrainingState { Cursor = new DataCursor([step]), Step = step };
        checkpoints.Save(state, state, [new Parameter(torch.tensor(new[] { weight, 2 * weight }))], () => new Dictionary<string, IReadOnlyList<SafeTensor>>(StringComparer.Ordinal) { ["weights.safetensors"] = [SafeTensor.Singles("weight", [1], new[] { weight })] });
    }

    private sealed record Place : RunSetup;
}
