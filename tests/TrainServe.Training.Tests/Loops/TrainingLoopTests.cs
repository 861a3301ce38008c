using CsCheck;
using TorchSharp;
using TrainServe.Core;
using TrainServe.Model;
using TrainServe.TestSupport;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data;
using TrainServe.Training.Loops;
using AdamW = TrainServe.Training.Optimization.AdamW;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;
using TrainServe.Training.Tests.Data;

namespace TrainServe.Training.Tests.Loops;

[Collection(TorchFixture.Generator)]
public sealed class TrainingLoopTests : IDisposable
{
    private const int Columns = 8;
    private readonly TemporaryDirectory _directory = new();
    private readonly CountingStream _train = CountingStream.Create(300, period: 30), _validation = CountingStream.Create(60, period: 30);
    private readonly RecordingDisplay _display = new();

    public void Dispose()
    {
        _train.Dispose();
        _validation.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public void A_tiny_model_learns_to_count()
    {
        using var run = NewRun(new TrainingSection { Steps = 150, BatchRows = 8 });
        var outcome = run.Loop.Run(resume: false);
        Assert.Equal(TrainingEnd.Completed, outcome.End);
        Assert.Equal(150, outcome.State.Step);
        // At first the 32 tokens are equally likely: ln 32 = 3.47.
        Assert.InRange(_display.Steps[0].Loss, 3.2, 3.8);
        Assert.InRange(outcome.State.Best.BestLoss!.Value, 0, 0.5);
    }

    [Fact]
    public void A_run_stopped_at_any_step_and_resumed_gives_the_same_bits() =>
        Gen.Select(Gen.Int[1, 24], Gen.Int[1, 3], Gen.Int[0, 1]).Sample((stopAt, every, dropout) =>
        {
            // 37 rows an epoch and 6 rows a step: 25 steps are 4 epochs. Two micro-batches a step.
            var training = new TrainingSection { Steps = 25, BatchRows = 6, MicroBatchRows = 3, Dropout = 0.2f * dropout };
            var saving = new CheckpointSection { EverySteps = every };
            using var whole = NewRun(training, saving);
            whole.Loop.Run(resume: false);

            string directory = NewDirectory();
            using (var stop = new CancellationTokenSource())
            using (var first = NewRun(training, saving, directory, new StoppingDisplay(stop, stopAt)))
            {
                var outcome = first.Loop.Run(resume: false, stop.Token);
                Assert.Equal((TrainingEnd.Interrupted, (long)stopAt), (outcome.End, outcome.State.Step));
            }
            using var second = NewRun(training, saving, directory);
            second.Loop.Run(resume: true);
            AssertSame(whole, second);
        }, iter: 8, threads: 1);

    [Theory]
    [InlineData(OptimizerKind.Adamw, TrainingPrecision.Auto)]
    [InlineData(OptimizerKind.Muon, TrainingPrecision.Auto)]
    [InlineData(OptimizerKind.Muon, TrainingPrecision.Float32)]
    public void With_every_option_on_it_learns_and_a_run_that_was_stopped_gives_the_same_bits(OptimizerKind kind, TrainingPrecision precision)
    {
        var training = new TrainingSection { Steps = 120, BatchRows = 8, MicroBatchRows = 4, Dropout = 0.05f, LabelSmoothing = 0.01f, ZLoss = 1e-4f, EmaDecay = 0.8, SkipSpikes = 5, Precision = precision };
        var optimizer = new OptimizerSection { Kind = kind, LearningRate = 0.01, WarmupSteps = 5 };
        // Heads of 16, which the kernels can do.
        var shape = TinyModels.Config(hiddenSize: 32, intermediateSize: 48, heads: 2);
        using var whole = NewRun(training, optimizer: optimizer, shape: shape);
        var outcome = whole.Loop.Run(resume: false);
        Assert.InRange(outcome.State.Best.BestLoss!.Value, 0, 1);
        // The model is the average's, which was measured.
        Assert.Equal(outcome.State.Best.BestLoss.Value, Measure(whole), 1e-9);

        string directory = NewDirectory();
        using (var stop = new CancellationTokenSource())
        using (var first = NewRun(training, null, directory, new StoppingDisplay(stop, 57), optimizer, shape: shape))
        {
            first.Loop.Run(resume: false, stop.Token);
        }
        using var second = NewRun(training, null, directory, optimizer: optimizer, shape: shape);
        second.Loop.Run(resume: true);
        AssertSame(whole, second);
    }

    [Fact]
    public void On_the_road_of_a_GPU_it_learns_and_a_run_that_was_stopped_gives_the_same_bits()
    {
        // libtorch's operators in bfloat16, which run on any device.
        var training = new TrainingSection { Steps = 120, BatchRows = 8, MicroBatchRows = 4 };
        using var whole = NewRun(training, kernels: TrainingKernels.PlainBFloat16);
        Assert.InRange(whole.Loop.Run(resume: false).State.Best.BestLoss!.Value, 0, 1);
        string directory = NewDirectory();
        using (var stop = new CancellationTokenSource())
        using (var first = NewRun(training, null, directory, new StoppingDisplay(stop, 57), kernels: TrainingKernels.PlainBFloat16))
        {
            first.Loop.Run(resume: false, stop.Token);
        }
        using var second = NewRun(training, null, directory, kernels: TrainingKernels.PlainBFloat16);
        second.Loop.Run(resume: true);
        AssertSame(whole, second);
    }

    [Fact]
    public void The_rows_of_the_next_step_are_read_while_a_step_is_computed()
    {
        var source = new ObservedSource(new RowMixture([new WindowSource("count", _train.Tokens, Columns, 1, 0)], [1], Columns));
        using var run = NewRun(new TrainingSection { Steps = 3, BatchRows = 4 }, new CheckpointSection { EverySteps = 1 }, display: new WaitingDisplay(source.SecondRead), data: source);
        run.Loop.Run(resume: false);
        // The checkpoint holds what was consumed, not what was read ahead.
        var state = new CheckpointStore(Path.Combine(run.Directory, "checkpoints")).LatestGood(_ => { })!.ReadState<TrainingState>();
        Assert.Equal((3, 12), (state.Step, state.Cursor.Rows));
    }

    [Fact]
    public void A_step_with_a_spike_changes_nothing()
    {
        using var model = new Transformer(TinyModels.Config());
        model.Initialize(1);
        using var optimizer = new AdamW(model.named_parameters().Select(parameter => (parameter.name, parameter.parameter)), new OptimizerSection());
        var step = new TrainingStep(model, optimizer, clipNorm: 1);
        var batch = new TokenBatch(1, 4, [1, 2, 3, 4], [2, 3, 4, 5], DataCursor.Start(0), "");
        var before = Weights(model);
        var skipped = step.Run([batch], 0.1, 1, normLimit: 1e-3);
        Assert.Equal((true, true), (skipped.IsSkipped, skipped.IsSpike));
        Assert.Equal(before, Weights(model));
        var taken = step.Run([batch], 0.1, 1, normLimit: skipped.GradientNorm * 1.01);
        Assert.Equal((false, false), (taken.IsSkipped, taken.IsSpike));
        Assert.NotEqual(before, Weights(model));
    }

    [Fact]
    public void Norms_far_above_the_running_mean_are_skipped_counted_and_the_run_goes_on()
    {
        // A rate that is far too high once the warm-up is over.
        var optimizer = new OptimizerSection { LearningRate = 0.5, MinLearningRate = 0.5, WarmupSteps = 30 };
        using var run = NewRun(new TrainingSection { Steps = 80, BatchRows = 8, SkipSpikes = 1.2 }, optimizer: optimizer);
        var outcome = run.Loop.Run(resume: false);
        Assert.Equal(TrainingEnd.Completed, outcome.End);
        Assert.InRange(outcome.State.SkippedSteps, 1, 60);
        Assert.Equal(80 - outcome.State.SkippedSteps, outcome.State.Updates);
        Assert.Equal(0, outcome.State.SkippedInARow);
    }

    [Fact]
    public void A_run_killed_between_two_checkpoints_and_resumed_gives_the_same_bits_and_metrics()
    {
        var training = new TrainingSection { Steps = 20, BatchRows = 4 };
        var saving = new CheckpointSection { EverySteps = 6 };
        using var whole = NewRun(training, saving);
        whole.Loop.Run(resume: false);
        string directory = NewDirectory();
        using (var first = NewRun(training, saving, directory, new FailingDisplay(15)))
        {
            Assert.Throws<TimeoutException>(() => first.Loop.Run(resume: false));
        }
        using var second = NewRun(training, saving, directory);
        second.Loop.Run(resume: true);
        AssertSame(whole, second);
        Assert.Equal(Losses(whole.Directory), Losses(directory));
    }

    [Fact]
    public void A_damaged_checkpoint_is_skipped_by_name_and_the_one_before_gives_the_same_bits()
    {
        var training = new TrainingSection { Steps = 20, BatchRows = 4 };
        var saving = new CheckpointSection { EverySteps = 5 };
        using var whole = NewRun(training, saving);
        whole.Loop.Run(resume: false);
        string directory = NewDirectory();
        using (var first = NewRun(training, saving, directory, new FailingDisplay(18)))
        {
            Assert.Throws<TimeoutException>(() => first.Loop.Run(resume: false));
        }
        string damaged = Path.Combine(directory, "checkpoints", "step-00000015", "optimizer.safetensors");
        var bytes = File.ReadAllBytes(damaged);
        bytes[^5] ^= 2;
        File.WriteAllBytes(damaged, bytes);
        using var second = NewRun(training, saving, directory);
        second.Loop.Run(resume: true);
        AssertSame(whole, second);
        Assert.Contains(_display.Notes, note => note.Contains(damaged, StringComparison.Ordinal) && note.Contains("in its tensor v.", StringComparison.Ordinal));
        Assert.Contains(_display.Notes, note => note == "Training goes on from step 10 of 20.");
    }

    [Fact]
    public void When_no_checkpoint_is_whole_nothing_is_begun_anew()
    {
        var training = new TrainingSection { Steps = 6, BatchRows = 4 };
        using (var run = NewRun(training, new CheckpointSection { EverySteps = 2 }, _directory.FullName))
        {
            run.Loop.Run(resume: false);
        }
        foreach (string manifest in Directory.GetFiles(_directory.PathOf("checkpoints"), "manifest.json", SearchOption.AllDirectories))
        {
            File.Delete(manifest);
        }
        using var second = NewRun(training, null, _directory.FullName);
        Assert.Contains("is whole", Assert.Throws<InvalidDataException>(() => second.Loop.Run(resume: true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_recipe_is_refused_on_resume_with_the_key()
    {
        using (var run = NewRun(new TrainingSection { Steps = 4, BatchRows = 4 }, null, _directory.FullName))
        {
            run.Loop.Run(resume: false);
        }
        using var second = NewRun(new TrainingSection { Steps = 4, BatchRows = 8 }, null, _directory.FullName);
        Assert.Contains("the recipe's batch_rows was 4 and is now 8", Assert.Throws<RecipeException>(() => second.Loop.Run(resume: true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_checkpoints_are_kept_and_the_best_weights()
    {
        using var run = NewRun(new TrainingSection { Steps = 30, BatchRows = 4 }, new CheckpointSection { EverySteps = 4 });
        var outcome = run.Loop.Run(resume: false);
        Assert.Equal([30, 28], new CheckpointStore(Path.Combine(run.Directory, "checkpoints")).Steps);
        Assert.Contains(outcome.State.Best.BestStep, new CheckpointStore(Path.Combine(run.Directory, "best")).Steps);
    }

    [Fact]
    public void Early_stopping_ends_the_run_and_gives_the_best_weights()
    {
        // A rate that is far too high, so that the loss soon gets no better.
        var optimizer = new OptimizerSection { LearningRate = 0.5, MinLearningRate = 0.5, WarmupSteps = 0 };
        using var run = NewRun(new TrainingSection { Steps = 500, BatchRows = 4 }, optimizer: optimizer, patience: 3);
        var outcome = run.Loop.Run(resume: false);
        Assert.Equal(TrainingEnd.StoppedEarly, outcome.End);
        Assert.Equal(outcome.State.Best.BestStep + 15, outcome.State.Step);
        Assert.Equal(outcome.State.Best.BestLoss!.Value, Measure(run), 1e-9);
        Assert.Equal(_display.Validations.Min(), outcome.State.Best.BestLoss!.Value);
    }

    [Fact]
    public void A_step_whose_gradients_are_not_finite_changes_nothing_is_counted_and_named()
    {
        using var run = NewRun(new TrainingSection { Steps = 8, BatchRows = 4, MaxSkippedSteps = 3 }, new CheckpointSection { EverySteps = 1 });
        using (torch.no_grad())
        {
            // One logit of every token is not a number, and so neither is the loss.
            StateDictAdapter.View(run.Model, "lm_head.weight")[31].fill_(LiveScalar.Of(float.NaN));
        }
        var before = Weights(run.Model);
        var error = Assert.Throws<InvalidOperationException>(() => run.Loop.Run(resume: false));
        Assert.Contains("The gradients of 3 steps in a row were not finite, the last at step 3 in the rows count#8", error.Message, StringComparison.Ordinal);
        Assert.Equal(before, Weights(run.Model));
        Assert.Contains(_display.Notes, note => note.StartsWith("Step 1 was skipped", StringComparison.Ordinal) && note.Contains("count#0", StringComparison.Ordinal));
        var state = new CheckpointStore(Path.Combine(run.Directory, "checkpoints")).LatestGood(_ => { })!.ReadState<TrainingState>();
        Assert.Equal((2, 2, 0), (state.SkippedSteps, state.SkippedInARow, state.Updates));
    }

    [Fact]
    public void Small_batches_accumulated_give_the_gradients_of_one_large_batch()
    {
        // The halves have 1 and 9 tokens to learn: a mean of their means would be another number.
        var targets = Enumerable.Range(1, 16).Select(i => i is >= 2 and <= 7 ? TokenBatch.Ignored : i).ToArray();
        var inputs = Enumerable.Range(0, 16).ToArray();
        var whole = new TokenBatch(2, 8, inputs, targets, DataCursor.Start(0), "whole");
        TokenBatch[] halves = [.. Enumerable.Range(0, 2).Select(row => new TokenBatch(1, 8, inputs[(row * 8)..(row * 8 + 8)], targets[(row * 8)..(row * 8 + 8)], DataCursor.Start(0), "half"))];
        var (one, first) = Stepped([whole]);
        var (two, second) = Stepped(halves);
        Assert.Equal(first.LearnedTokens, second.LearnedTokens);
        Assert.Equal(first.Loss, second.Loss, 1e-6);
        Assert.Equal(first.GradientNorm, second.GradientNorm, 1e-5);
        Assert.All(one.Zip(two), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));

        static (float[] Weights, StepResult Result) Stepped(TokenBatch[] batches)
        {
            using var model = new Transformer(TinyModels.Config());
            model.Initialize(1);
            // A large epsilon makes the update follow the gradient and not only its sign.
            using var optimizer = new AdamW(model.named_parameters().Select(parameter => (parameter.name, parameter.parameter)), new OptimizerSection { Epsilon = 1 });
            var result = new TrainingStep(model, optimizer, clipNorm: 0).Run(batches, 0.1, dropoutSeed: 1);
            return (Weights(model), result);
        }
    }

    [Fact]
    public void A_step_with_nothing_to_learn_is_an_error_that_names_its_rows()
    {
        using var model = new Transformer(TinyModels.Config());
        using var optimizer = new AdamW(model.named_parameters().Select(parameter => (parameter.name, parameter.parameter)), new OptimizerSection());
        var masked = new TokenBatch(1, 4, [1, 2, 3, 4], [-100, -100, -100, -100], DataCursor.Start(0), "conversations.jsonl:7");
        var error = Assert.Throws<InvalidDataException>(() => new TrainingStep(model, optimizer, 1).Run([masked], 0.1, 1));
        Assert.Equal("No token of the rows conversations.jsonl:7 is to be learned, so that the step has no loss.", error.Message);
    }

    [Fact]
    public void Texts_in_one_row_do_not_see_each_other()
    {
        using var scope = torch.NewDisposeScope();
        using var model = new Transformer(TinyModels.Config());
        model.Initialize(3);
        model.eval();
        float Loss(int[] before) => BatchTensors.LossSum(model, new TokenBatch(1, 6, [.. before, 7, 8, 9], [-100, -100, -100, 8, 9, 10], DataCursor.Start(0), "")
        {
            Segments = [0, 0, 0, 1, 1, 1],
        }).item<float>();
        float alone = BatchTensors.LossSum(model, new TokenBatch(1, 3, [7, 8, 9], [8, 9, 10], DataCursor.Start(0), "")).item<float>();
        Assert.Equal(Loss([1, 2, 3]), Loss([4, 5, 6]));
        Assert.Equal(alone, Loss([1, 2, 3]), 1e-4f);
    }

    private Run NewRun(TrainingSection training, CheckpointSection? saving = null, string? directory = null, ITrainingDisplay? display = null, OptimizerSection? optimizer = null, int patience = 0, ModelConfig? shape = null, TrainingKernels? kernels = null, IBatchSource? data = null)
    {
        var model = new Transformer(shape ?? TinyModels.Config(), training.Dropout);
        model.Initialize(1);
        directory ??= NewDirectory();
        return new Run(directory, model, new TrainingLoop(new TrainingSetup
        {
            Model = model,
            Data = data ?? new RowMixture([new WindowSource("count", _train.Tokens, Columns, 1, 0)], [1], Columns),
            Validation = [new ValidationSource("count", 1, Validation)],
            Seed = 1,
            Training = training,
            Optimizer = optimizer ?? new OptimizerSection { LearningRate = 0.01, WarmupSteps = 5 },
            Measuring = new ValidationSection { EverySteps = 5, Patience = patience },
            Saving = saving ?? new CheckpointSection(),
            Identity = new RunIdentity("pretrain", RecipeIdentity.Of(training), "t", new Dictionary<string, string>(), null),
            Directory = directory,
            Time = TimeProvider.System,
            Display = display ?? _display,
            Kernels = kernels,
        }));
    }

    private IEnumerable<TokenBatch> Validation() => ValidationWindows.Batches("count", _validation.Tokens, Columns, 0, 4);

    private double Measure(Run run) => LossMeasurement.Run(run.Model, [new ValidationSource("count", 1, Validation)]).Loss;

    private string NewDirectory() => _directory.PathOf($"run-{Guid.NewGuid():N}");

    private static void AssertSame(Run one, Run other)
    {
        Assert.Equal(Weights(one.Model), Weights(other.Model));
        string[] steps = [.. new[] { one, other }.Select(run => Path.GetFileName(new CheckpointStore(Path.Combine(run.Directory, "checkpoints")).LatestGood(_ => { })!.Directory))];
        Assert.Equal(steps[0], steps[1]);
        foreach (string file in (string[])["model.safetensors", "optimizer.safetensors"])
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(one.Directory, "checkpoints", steps[0], file)), File.ReadAllBytes(Path.Combine(other.Directory, "checkpoints", steps[0], file)));
        }
    }

    private static float[] Weights(Transformer model)
    {
        using var scope = torch.NewDisposeScope();
        return [.. model.parameters().SelectMany(parameter => parameter.detach().data<float>().ToArray())];
    }

    private static List<string> Losses(string directory) => [.. File.ReadLines(Path.Combine(directory, "metrics.jsonl"))
        .Select(line => System.Text.Json.JsonDocument.Parse(line).RootElement)
        .Select(line => $"{line.GetProperty("event").GetString()} {line.GetProperty("step").GetInt64()} {line.GetProperty("loss").GetRawText()}")];

    // Tells when it is read a second time.
    private sealed class ObservedSource(IBatchSource inner) : IBatchSource
    {
        private int _reads;

        public ManualResetEventSlim SecondRead { get; } = new();
        public DataCursor Start => inner.Start;
        public long RowsPerEpoch => inner.RowsPerEpoch;
        public DataCursor Skip(DataCursor cursor, int rows) => inner.Skip(cursor, rows);

        public TokenBatch Read(DataCursor cursor, int rows)
        {
            if (Interlocked.Increment(ref _reads) == 2)
            {
                SecondRead.Set();
            }
            return inner.Read(cursor, rows);
        }
    }

    // Holds the first step until the rows of the second are asked for.
    private sealed class WaitingDisplay(ManualResetEventSlim asked) : RecordingDisplay
    {
        public override void Step(StepReport report) => Assert.True(asked.Wait(TimeSpan.FromSeconds(20)), "The second step's rows were not read during the first.");
    }

    private sealed record Run(string Directory, Transformer Model, TrainingLoop Loop) : IDisposable
    {
        public void Dispose()
        {
            Loop.Dispose();
            Model.Dispose();
        }
    }
}
