using System.Globalization;
using TorchSharp.Modules;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Distributed;
using TrainServe.Training.Optimization;

namespace TrainServe.Training.Loops;

using CheckpointFiles = Dictionary<string, IReadOnlyList<SafeTensor>>;

/// <summary>A run's checkpoints and its best weights: when to save, what to keep, where to go on. Of several processes the first writes, and what is saved is what all of them have.</summary>
internal sealed class RunCheckpoints
{
    /// <summary>Directories of a run.</summary>
    public const string CheckpointsDirectory = "checkpoints", BestDirectory = "best";
    private readonly RunSetup _run;
    private readonly IProcessGroup _processes;
    private readonly TrainingEnvironment _environment;
    private readonly CheckpointStore _checkpoints, _best;
    private readonly HashSet<long> _damaged = [];
    private long? _savedStep;
    private long _savedAt;

    /// <param name="run">Whose they are.</param>
    /// <param name="environment">Without its number of processes.</param>
    public RunCheckpoints(RunSetup run, TrainingEnvironment environment)
    {
        (_run, _processes) = (run, run.Processes);
        _environment = environment with { Processes = _processes.Size };
        _checkpoints = new CheckpointStore(Path.Combine(run.Directory, CheckpointsDirectory));
        _best = new CheckpointStore(Path.Combine(run.Directory, BestDirectory));
    }

    /// <summary>Removes what a crash left half written. Comes first.</summary>
    public void Begin()
    {
        if (_processes.IsFirst)
        {
            _checkpoints.RemoveUnfinished();
            _best.RemoveUnfinished();
        }
        _processes.Wait();
        _savedAt = _run.Time.GetTimestamp();
    }

    /// <summary>The newest whole checkpoint, if the run may go on from it; null when there is none yet.</summary>
    /// <exception cref="RecipeException">Recipe, data, tokenizer or models are not those of the checkpoint; the message names what changed.</exception>
    /// <exception cref="InvalidDataException">No checkpoint is whole, or the processes found different ones.</exception>
    public Checkpoint? Latest()
    {
        var checkpoint = _checkpoints.LatestGood(_run.Display.Note);
        double step = checkpoint?.Step ?? -1;
        Span<double> bounds = [step, -step];
        _processes.Max(bounds);
        if (bounds[0] != -bounds[1])
        {
            throw new InvalidDataException($"The processes found different checkpoints in {_run.Directory}; it must be one directory that all of them see.");
        }
        if (checkpoint is null)
        {
            if (_checkpoints.Steps.Count > 0)
            {
                throw new InvalidDataException($"None of the {_checkpoints.Steps.Count} checkpoints in {Path.Combine(_run.Directory, CheckpointsDirectory)} is whole.");
            }
            _run.Display.Note("There is no checkpoint yet, so training begins at the first step.");
            return null;
        }
        if (checkpoint.Manifest.Identity.Difference(_run.Identity) is { } difference)
        {
            throw new RecipeException($"{checkpoint.Directory} cannot be continued: {difference}. Undo that, or choose another output directory.");
        }
        if (checkpoint.Manifest.Environment.Difference(_environment) is { } change)
        {
            _run.Display.Note($"Warning: {change}. Training goes on, but its last bits will differ from a run that was never stopped.");
        }
        return checkpoint;
    }

    /// <summary>Takes note of the state that was found in the newest checkpoint.</summary>
    public void Restored(TrainingState state, long totalSteps)
    {
        _savedStep = state.Step;
        _damaged.UnionWith(_checkpoints.Steps.Where(step => step > state.Step));
        _run.Display.Note(state.Standing(totalSteps, _run.Measuring.Patience));
    }

    /// <summary>Whether all processes must stop now, and whether they must save.</summary>
    /// <remarks>Only the first one's clock counts; a signal may have reached any of them.</remarks>
    public (bool MustStop, bool MustSave) Agreed(CancellationToken stop, long step)
    {
        Span<double> wishes = [stop.IsCancellationRequested ? 1 : 0, _processes.IsFirst && IsDue(step) ? 1 : 0];
        _processes.Max(wishes);
        return (wishes[0] > 0, wishes[1] > 0);
    }

    /// <summary>Saves a step, unless it is saved already, and removes what is too old.</summary>
    /// <param name="state">Of the run.</param>
    /// <param name="saved">The state as it is written, with all that belongs to it.</param>
    /// <param name="weights">What is trained: must be the same in all processes.</param>
    /// <param name="files">Makes the tensors; called where they are written.</param>
    /// <exception cref="IOException">The checkpoint could not be written.</exception>
    /// <exception cref="InvalidOperationException">The processes have different weights.</exception>
    public void Save<T>(TrainingState state, T saved, IEnumerable<Parameter> weights, Func<CheckpointFiles> files)
    {
        if (_savedStep == state.Step)
        {
            return;
        }
        RequireSame(weights, state.Step);
        if (_processes.IsFirst)
        {
            _checkpoints.Save(state.Step, _run.Identity, _environment, files(), saved);
            RemoveOld(state);
        }
        (_savedStep, _savedAt) = (state.Step, _run.Time.GetTimestamp());
    }

    /// <summary>Keeps the weights of a step as the best so far.</summary>
    public void SaveBest(long step, double loss, Func<CheckpointFiles> files)
    {
        if (_processes.IsFirst)
        {
            _best.Save(step, _run.Identity, _environment, files(), new { loss });
        }
    }

    /// <summary>The best weights, which must have been kept.</summary>
    public Checkpoint OpenBest(long step) => Checkpoint.OpenVerified(_best.DirectoryOf(step));

    private bool IsDue(long step) => step > 0 && _savedStep != step
        && ((_run.Saving.EverySteps > 0 && step % _run.Saving.EverySteps == 0)
            || (_run.Saving.EverySeconds > 0 && _run.Time.GetElapsedTime(_savedAt).TotalSeconds >= _run.Saving.EverySeconds));

    // Every process makes the same updates by itself; should one of them compute differently, a checkpoint would hide it.
    private void RequireSame(IEnumerable<Parameter> weights, long step)
    {
        if (_processes.Size == 1)
        {
            return;
        }
        double sum = Gradients.SumOfSquares(weights);
        Span<double> bounds = [sum, -sum];
        _processes.Max(bounds);
        if (bounds[0] != -bounds[1])
        {
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"After step {step} the processes have different weights; they must run the same build on like processors. Go on from the last checkpoint with --resume."));
        }
    }

    // Damaged checkpoints do not count among those that are kept, and go when a good one is newer. The best weights stay as long as a kept checkpoint
    // could be resumed that knows no better ones.
    private void RemoveOld(TrainingState state)
    {
        _damaged.Remove(state.Step);
        var kept = _checkpoints.Steps.Where(step => step <= state.Step && !_damaged.Contains(step)).Take(_run.Saving.Keep).ToHashSet();
        long oldest = kept.Min();
        kept.UnionWith(_damaged.Where(step => step > state.Step));
        _checkpoints.RemoveExcept(kept);
        var best = _best.Steps.Where(step => step >= oldest).Concat(_best.Steps.Where(step => step < oldest).Take(1)).ToHashSet();
        best.Add(state.Best.BestStep);
        _best.RemoveExcept(best);
    }
}
