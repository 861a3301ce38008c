using System.Globalization;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Model;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;
using TrainServe.Training.Metrics;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Loops;

/// <summary>What a loop runs on.</summary>
public sealed record TrainingSetup : RunSetup
{
    /// <summary>With its first weights.</summary>
    public required Transformer Model { get; init; }
    public required IBatchSource Data { get; init; }

    /// <summary>Empty when nothing is held out: then the last weights are the best.</summary>
    public required IReadOnlyList<ValidationSource> Validation { get; init; }
    public required ulong Seed { get; init; }
    public required TrainingSection Training { get; init; }
    public required OptimizerSection Optimizer { get; init; }

    /// <summary>What computes; chosen by precision, processor and device when null.</summary>
    public TrainingKernels? Kernels { get; init; }

    /// <summary>Optimizer steps in all.</summary>
    public long TotalSteps => Training.StepsOver(Data.RowsPerEpoch);
}

/// <summary>Next-token training on fixed data: steps, measurements, checkpoints, the end. Pretraining and fine-tuning differ only in the rows.</summary>
/// <remarks>Everything that decides a number is a function of recipe, data, seed and step, so that a run resumed from any checkpoint gives the weights of a run that was never stopped.</remarks>
public sealed class TrainingLoop : IDisposable
{
    /// <summary>Files of a checkpoint.</summary>
    public const string WeightsFile = "model.safetensors", MomentsFile = "optimizer.safetensors", AverageFile = "average.safetensors";
    private readonly TrainingSetup _setup;
    private readonly IProcessGroup _processes;
    private readonly RowsAhead _rows;
    private readonly AdamW _optimizer;
    private readonly TrainingStep _step;
    private readonly WeightAverage? _average;
    private readonly LearningRateSchedule _schedule;
    private readonly RunCheckpoints _checkpoints;
    private TrainingState _state;
    private long _sessionStart;
    private double _secondsBefore;

    public TrainingLoop(TrainingSetup setup)
    {
        (_setup, _processes) = (setup, setup.Processes);
        _rows = new RowsAhead(setup.Data, BatchShare.Of(setup.Training, setup.Processes));
        setup.Model.Kernels = setup.Kernels ?? TrainingKernels.Choose(setup.Training.Precision, setup.Model);
        setup.Model.ActivationCheckpointing = setup.Training.ActivationCheckpointing;
        var kernels = KernelChoices.Of(setup.Model);
        _checkpoints = new RunCheckpoints(setup, TrainingEnvironment.Current(TorchRuntime.Threads, kernels));
        setup.Display.Note($"Training step: {kernels.TrainingStep}{(setup.Model.Kernels.Reason is { } reason ? $", because {reason}" : "")}; threads: {TorchRuntime.Threads}{(_processes.Size > 1 ? $" in each of {_processes.Size} processes" : "")}.");
        var parameters = setup.Model.named_parameters().Select(parameter => (parameter.name, parameter.parameter)).ToList();
        _optimizer = new AdamW(parameters, setup.Optimizer, setup.Model.MatrixParts);
        _average = setup.Training.EmaDecay > 0 ? new WeightAverage(parameters, setup.Training.EmaDecay) : null;
        _step = new TrainingStep(setup.Model, _optimizer, setup.Optimizer.ClipNorm, new LossRegularization(setup.Training.LabelSmoothing, setup.Training.ZLoss), _processes);
        _schedule = LearningRateSchedule.Of(setup.Optimizer, setup.TotalSteps);
        _state = new TrainingState { Cursor = setup.Data.Start };
    }

    /// <summary>Trains to the end, or until a stop is requested: then it saves, at most one step later.</summary>
    /// <param name="resume">Whether to go on from the newest whole checkpoint.</param>
    /// <param name="stop">The request.</param>
    /// <exception cref="RecipeException">Recipe, data or tokenizer are not those of the checkpoint; the message names what changed.</exception>
    /// <exception cref="InvalidDataException">No checkpoint is whole.</exception>
    /// <exception cref="InvalidOperationException">The gradients were not finite for too many steps in a row.</exception>
    /// <exception cref="IOException">A checkpoint could not be written.</exception>
    public TrainingOutcome Run(bool resume, CancellationToken stop = default)
    {
        _checkpoints.Begin();
        if (resume)
        {
            Restore();
        }
        (_sessionStart, _secondsBefore) = (_setup.Time.GetTimestamp(), _state.Seconds);
        using var metrics = _processes.IsFirst ? new MetricsLog(_setup.Directory, _setup.Time, _state.Step) : null;
        while (true)
        {
            if (IsMeasurementDue() && !TryMeasure(metrics, stop))
            {
                return Interrupted();
            }
            bool isDone = _state.Step >= _setup.TotalSteps;
            if (isDone || _state.Best.ShouldStop(_setup.Measuring.Patience))
            {
                return Finish(isDone ? TrainingEnd.Completed : TrainingEnd.StoppedEarly);
            }
            var (mustStop, mustSave) = _checkpoints.Agreed(stop, _state.Step);
            if (mustStop)
            {
                return Interrupted();
            }
            if (mustSave)
            {
                Save();
            }
            Advance(metrics);
        }
    }

    public void Dispose()
    {
        _rows.Dispose();
        _optimizer.Dispose();
        _average?.Dispose();
    }

    private void Advance(MetricsLog? metrics)
    {
        long started = _setup.Time.GetTimestamp();
        var (taken, after) = _rows.Take(_state.Cursor);
        double read = _setup.Time.GetElapsedTime(started).TotalSeconds, learningRate = _schedule.At(_state.Step);
        ulong dropoutSeed = new PhiloxRandom(_setup.Seed, RandomStreams.Of(RandomPurpose.Dropout, _state.Step, _processes.Rank)).NextUInt64();
        double normLimit = new SpikeRule(_setup.Training.SkipSpikes).Limit(_state.MeanNorm, _state.Updates);
        var result = RunStep(taken, learningRate, dropoutSeed, normLimit);
        if (!result.IsSkipped)
        {
            _average?.Update(_optimizer.Updates);
        }
        _state = _state with
        {
            Step = _state.Step + 1,
            Cursor = after,
            Updates = _optimizer.Updates,
            SkippedSteps = _state.SkippedSteps + (result.IsSkipped ? 1 : 0),
            SkippedInARow = result.IsSkipped && !result.IsSpike ? _state.SkippedInARow + 1 : 0,
            MeanNorm = SpikeRule.Mean(_state.MeanNorm, result.GradientNorm, normLimit),
            LearnedTokens = _state.LearnedTokens + result.LearnedTokens,
            TrainLoss = double.IsFinite(result.Loss) ? result.Loss : null,
            Seconds = Seconds,
        };
        Report(metrics, taken, result, learningRate, _setup.Time.GetElapsedTime(started).TotalSeconds, read);
    }

    private StepResult RunStep(IReadOnlyList<TokenBatch> taken, double learningRate, ulong dropoutSeed, double normLimit)
    {
        try
        {
            return _step.Run(taken, learningRate, dropoutSeed, normLimit);
        }
        catch (Exception error) when (MemoryShortage.IsCause(error))
        {
            string other = _setup.Training.ActivationCheckpointing ? "" : ", or go on with training.activation_checkpointing=true";
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture,
                $"There is not enough memory for step {_state.Step + 1} with {taken[0].Rows} rows of {taken[0].Columns} tokens at once; lower training.micro_batch_rows in a new run{other}. The checkpoints are as they were."), error);
        }
    }

    private void Report(MetricsLog? metrics, IReadOnlyList<TokenBatch> taken, StepResult result, double learningRate, double seconds, double read)
    {
        double tokensPerSecond = result.LearnedTokens / Math.Max(seconds, 1e-9);
        var scalars = new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["loss"] = result.Loss,
            ["learning_rate"] = learningRate,
            ["gradient_norm"] = result.GradientNorm,
            ["tokens"] = _state.LearnedTokens,
            ["tokens_per_second"] = tokensPerSecond,
            ["data_seconds"] = read,
            ["seconds"] = _state.Seconds,
        };
        metrics?.Write("train", _state.Step, scalars);
        double perStep = _state.Seconds / _state.Step;
        var remaining = TimeSpan.FromSeconds(perStep * (_setup.TotalSteps - _state.Step));
        _setup.Display.Step(new StepReport(_state.Step, _setup.TotalSteps, result.Loss, learningRate, result.GradientNorm, tokensPerSecond, remaining, result.IsSkipped));
        if (!result.IsSkipped)
        {
            return;
        }
        string rows = TrainingStep.Origin(taken);
        metrics?.Write("skip", _state.Step, new Dictionary<string, double>(StringComparer.Ordinal), new Dictionary<string, string>(StringComparer.Ordinal) { ["rows"] = rows });
        _setup.Display.Note(string.Create(CultureInfo.InvariantCulture, $"Step {_state.Step} was skipped: loss {result.Loss}, gradient norm {result.GradientNorm}, rows {rows}."));
        if (_state.SkippedInARow >= _setup.Training.MaxSkippedSteps)
        {
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture,
                $"The gradients of {_state.SkippedInARow} steps in a row were not finite, the last at step {_state.Step} in the rows {rows}; lower optimizer.learning_rate, or go on from an older checkpoint."));
        }
    }

    private bool IsMeasurementDue() => _setup.Validation.Count > 0 && _state.Step > 0 && _state.ValidatedStep != _state.Step
        && (_state.Step % _setup.Measuring.EverySteps == 0 || _state.Step >= _setup.TotalSteps);

    private bool TryMeasure(MetricsLog? metrics, CancellationToken stop)
    {
        _average?.Swap();
        try
        {
            return TryMeasureModel(metrics, stop);
        }
        finally
        {
            _average?.Swap();
        }
    }

    private bool TryMeasureModel(MetricsLog? metrics, CancellationToken stop)
    {
        MeasuredLoss result;
        try
        {
            result = LossMeasurement.Run(_setup.Model, _setup.Validation, _processes, stop);
        }
        catch (OperationCanceledException)
        {
            // The state says that the measurement is still due: a resumed run makes it first.
            return false;
        }
        var best = _state.Best.After(result.Loss, _state.Step);
        bool isBest = best.BestStep == _state.Step && best.WithoutImprovement == 0;
        if (isBest)
        {
            _checkpoints.SaveBest(_state.Step, result.Loss, Weights);
        }
        _state = _state with { ValidatedStep = _state.Step, BestLosses = isBest ? result.LossBySource : _state.BestLosses, Best = best, Seconds = Seconds };
        var scalars = result.LossBySource.ToDictionary(source => $"loss/{source.Key}", source => source.Value, StringComparer.Ordinal);
        scalars["loss"] = result.Loss;
        metrics?.Write("validation", _state.Step, scalars);
        _setup.Display.Validation(_state.Step, result, isBest);
        return true;
    }

    private void Save() => _checkpoints.Save(_state, _state, _setup.Model.parameters(), () =>
    {
        var tensors = Weights();
        tensors[MomentsFile] = _optimizer.Save();
        if (_average is not null)
        {
            tensors[AverageFile] = _average.Save();
        }
        return tensors;
    });

    private TrainingOutcome Interrupted()
    {
        if (_state.Step > 0)
        {
            Save();
        }
        return new TrainingOutcome(TrainingEnd.Interrupted, _state);
    }

    private TrainingOutcome Finish(TrainingEnd end)
    {
        Save();
        if (!_processes.IsFirst)
        {
            return new TrainingOutcome(end, _state);
        }
        if (_state.Best.BestLoss is not null && _state.Best.BestStep != _state.Step)
        {
            using var weights = _checkpoints.OpenBest(_state.Best.BestStep).OpenTensors(WeightsFile);
            StateDictAdapter.Load(_setup.Model, weights);
        }
        else
        {
            _average?.Swap();
        }
        return new TrainingOutcome(end, _state);
    }

    private void Restore()
    {
        if (_checkpoints.Latest() is not { } checkpoint)
        {
            return;
        }
        _state = checkpoint.ReadState<TrainingState>();
        _checkpoints.Restored(_state, _setup.TotalSteps);
        using (var weights = checkpoint.OpenTensors(WeightsFile))
        {
            StateDictAdapter.Load(_setup.Model, weights);
        }
        using (var moments = checkpoint.OpenTensors(MomentsFile))
        {
            _optimizer.Load(moments, _state.Updates);
        }
        if (_average is not null)
        {
            using var average = checkpoint.OpenTensors(AverageFile);
            _average.Load(average);
        }
    }

    private double Seconds => _secondsBefore + _setup.Time.GetElapsedTime(_sessionStart).TotalSeconds;

    private Dictionary<string, IReadOnlyList<SafeTensor>> Weights() => new(StringComparer.Ordinal) { [WeightsFile] = StateDictAdapter.Save(_setup.Model) };
}
