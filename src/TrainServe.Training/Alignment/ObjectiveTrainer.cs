using System.Globalization;
using TrainServe.Core;
using TrainServe.Model;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Metrics;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Alignment;

/// <summary>What a trainer runs on.</summary>
public sealed record ObjectiveSetup : RunSetup
{
    public required IObjective Objective { get; init; }

    /// <summary>What computes.</summary>
    public required KernelChoices Kernels { get; init; }

    /// <summary>Steps in a row with gradients that are not finite, before the run stops.</summary>
    public int MaxSkippedSteps { get; init; } = 10;
}

/// <summary>Runs an objective: steps, measurements, checkpoints, the end.</summary>
/// <remarks>As <see cref="TrainingLoop"/> does for next tokens: a run resumed from any checkpoint gives the weights of a run that was never stopped.</remarks>
public sealed class ObjectiveTrainer
{
    private readonly ObjectiveSetup _setup;
    private readonly IObjective _objective;
    private readonly IProcessGroup _processes;
    private readonly RunCheckpoints _checkpoints;
    private TrainingState _state = new() { Cursor = new DataCursor([]) };
    private long _sessionStart;
    private double _secondsBefore;

    public ObjectiveTrainer(ObjectiveSetup setup)
    {
        (_setup, _objective, _processes) = (setup, setup.Objective, setup.Processes);
        _checkpoints = new RunCheckpoints(setup, TrainingEnvironment.Current(TorchRuntime.Threads, setup.Kernels));
        setup.Display.Note($"Training step: {setup.Kernels.TrainingStep}; threads: {TorchRuntime.Threads}{(_processes.Size > 1 ? $" in each of {_processes.Size} processes" : "")}.");
    }

    /// <summary>Trains to the end, or until a stop is requested: then it saves, at most one step later.</summary>
    /// <param name="resume">Whether to go on from the newest whole checkpoint.</param>
    /// <param name="stop">The request.</param>
    /// <exception cref="RecipeException">Recipe, data, tokenizer or models are not those of the checkpoint; the message names what changed.</exception>
    /// <exception cref="InvalidDataException">No checkpoint is whole.</exception>
    /// <exception cref="InvalidOperationException">The gradients were not finite for too many steps in a row.</exception>
    /// <exception cref="IOException">A checkpoint could not be written.</exception>
    public TrainingOutcome Run(bool resume, CancellationToken stop = default)
    {
        _checkpoints.Begin();
        if (!resume || !TryRestore())
        {
            _objective.Begin(_setup.Display.Note, stop);
        }
        (_sessionStart, _secondsBefore) = (_setup.Time.GetTimestamp(), _state.Seconds);
        using var metrics = _processes.IsFirst ? new MetricsLog(_setup.Directory, _setup.Time, _state.Step) : null;
        while (true)
        {
            if (IsMeasurementDue() && !TryMeasure(metrics, stop))
            {
                return Interrupted();
            }
            bool isDone = _state.Step >= _objective.TotalSteps;
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

    private double Seconds => _secondsBefore + _setup.Time.GetElapsedTime(_sessionStart).TotalSeconds;

    private void Advance(MetricsLog? metrics)
    {
        long started = _setup.Time.GetTimestamp();
        var result = RunStep();
        _state = _state with
        {
            Step = _state.Step + 1,
            Cursor = new DataCursor([_state.Step + 1]),
            Updates = _state.Updates + (result.IsSkipped ? 0 : 1),
            SkippedSteps = _state.SkippedSteps + (result.IsSkipped ? 1 : 0),
            SkippedInARow = result.IsSkipped ? _state.SkippedInARow + 1 : 0,
            LearnedTokens = _state.LearnedTokens + result.Tokens,
            TrainLoss = double.IsFinite(result.Loss) ? result.Loss : null,
            Seconds = Seconds,
        };
        double tokensPerSecond = result.Tokens / Math.Max(_setup.Time.GetElapsedTime(started).TotalSeconds, 1e-9);
        var scalars = new Dictionary<string, double>(result.Scalars, StringComparer.Ordinal)
        {
            ["loss"] = result.Loss,
            ["learning_rate"] = result.LearningRate,
            ["gradient_norm"] = result.GradientNorm,
            ["tokens"] = _state.LearnedTokens,
            ["tokens_per_second"] = tokensPerSecond,
            ["seconds"] = _state.Seconds,
        };
        metrics?.Write("train", _state.Step, scalars, result.Texts);
        var remaining = TimeSpan.FromSeconds(_state.Seconds / _state.Step * (_objective.TotalSteps - _state.Step));
        _setup.Display.Step(new StepReport(_state.Step, _objective.TotalSteps, result.Loss, result.LearningRate, result.GradientNorm, tokensPerSecond, remaining, result.IsSkipped) { Scalars = result.Scalars });
        if (result.Alarm is { } alarm)
        {
            _setup.Display.Note($"Step {_state.Step}: {alarm}");
        }
        if (result.IsSkipped)
        {
            Skipped(metrics, result);
        }
    }

    private ObjectiveStep RunStep()
    {
        try
        {
            return _objective.Advance(_state.Step);
        }
        catch (Exception error) when (MemoryShortage.IsCause(error))
        {
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture,
                $"There is not enough memory for step {_state.Step + 1}; lower the recipe's micro_batch_rows in a new run, or go on with activation_checkpointing=true. The checkpoints are as they were."), error);
        }
    }

    private void Skipped(MetricsLog? metrics, ObjectiveStep result)
    {
        metrics?.Write("skip", _state.Step, new Dictionary<string, double>(StringComparer.Ordinal), new Dictionary<string, string>(StringComparer.Ordinal) { ["rows"] = result.Origin });
        _setup.Display.Note(string.Create(CultureInfo.InvariantCulture, $"An update of step {_state.Step} was left out: loss {result.Loss}, gradient norm {result.GradientNorm}, examples {result.Origin}."));
        if (_state.SkippedInARow >= _setup.MaxSkippedSteps)
        {
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture,
                $"The gradients of {_state.SkippedInARow} steps in a row were not finite, the last at step {_state.Step} with the examples {result.Origin}; lower optimizer.learning_rate, or go on from an older checkpoint."));
        }
    }

    private bool IsMeasurementDue() => _state.ValidatedStep != _state.Step && (_state.Step % _setup.Measuring.EverySteps == 0 || _state.Step >= _objective.TotalSteps);

    // False when it was asked to stop: the state says that the measurement is still due, and a resumed run makes it first.
    private bool TryMeasure(MetricsLog? metrics, CancellationToken stop)
    {
        ObjectiveMeasurement? result;
        try
        {
            result = _objective.Measure(stop);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
        _state = _state with { ValidatedStep = _state.Step, Seconds = Seconds };
        if (result is null)
        {
            return true;
        }
        var best = _state.Best.After(result.Loss, _state.Step);
        bool isBest = best.BestStep == _state.Step && best.WithoutImprovement == 0 && best.BestLoss is not null;
        if (isBest)
        {
            _checkpoints.SaveBest(_state.Step, result.Loss, _objective.Weights);
        }
        _state = _state with { BestLosses = isBest ? result.LossBySource.Concat(result.Scalars).ToDictionary(StringComparer.Ordinal) : _state.BestLosses, Best = best };
        var scalars = new Dictionary<string, double>(result.Scalars, StringComparer.Ordinal) { ["loss"] = result.Loss };
        foreach (var (source, loss) in result.LossBySource)
        {
            scalars[$"loss/{source}"] = loss;
        }
        metrics?.Write("validation", _state.Step, scalars);
        _setup.Display.Validation(_state.Step, new MeasuredLoss(result.Loss, result.LossBySource) { Scalars = result.Scalars }, isBest);
        return true;
    }

    private void Save() => _checkpoints.Save(_state, new SavedState(_state, _objective.State), _objective.Parameters, () =>
    {
        var files = _objective.Weights();
        _objective.AddRest(files);
        return files;
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
        // What the first process wrote.
        _processes.Wait();
        if (_state.Best.BestLoss is not null && _state.Best.BestStep != _state.Step)
        {
            _objective.RestoreWeights(_checkpoints.OpenBest(_state.Best.BestStep));
        }
        return new TrainingOutcome(end, _state);
    }

    // False when there is no checkpoint yet.
    private bool TryRestore()
    {
        if (_checkpoints.Latest() is not { } checkpoint)
        {
            return false;
        }
        var saved = checkpoint.ReadState<SavedState>();
        _state = saved.Training;
        _checkpoints.Restored(_state, _objective.TotalSteps);
        _objective.Restore(checkpoint, saved.Objective);
        return true;
    }

    private sealed record SavedState(TrainingState Training, ObjectiveState Objective);
}
