using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Alignment;

/// <summary>A stage that trains one model for an objective: the run, then the model's directory with its lineage.</summary>
internal sealed record StageRun
{
    public required string Stage { get; init; }
    public required RunOptions Options { get; init; }

    /// <summary>What training began from; its tokenizer becomes the new model's.</summary>
    public required StageModel Parent { get; init; }

    /// <summary>Trained, and written at the end.</summary>
    public required Transformer Model { get; init; }
    public required IObjective Objective { get; init; }
    public required IRecipeSection Recipe { get; init; }
    public required ulong Seed { get; init; }

    /// <summary>Hash of each source's content by name; other models that decide numbers are among them.</summary>
    public required IReadOnlyDictionary<string, string> Data { get; init; }
    public required IReadOnlyList<DataSource> Lineage { get; init; }
    public required ValidationSection Measuring { get; init; }
    public required CheckpointSection Saving { get; init; }
    public int MaxSkippedSteps { get; init; } = 10;
    public required TimeProvider Time { get; init; }
    public required ITrainingDisplay Display { get; init; }

    /// <summary>Called in every process before the model is written: may add results, and change the weights.</summary>
    public Action<Dictionary<string, double>>? Conclude { get; init; }

    /// <returns>How it ended, and the model, unless it was interrupted or another process has written it.</returns>
    public (TrainingOutcome Outcome, ModelPackage? Package) Run(CancellationToken stop)
    {
        var identity = new RunIdentity(Stage, RecipeIdentity.Of(Recipe), Parent.Tokenizer.Sha256, Data, FileHash.OfFile(Parent.Package.WeightsPath));
        var trainer = new ObjectiveTrainer(new ObjectiveSetup
        {
            Objective = Objective,
            Measuring = Measuring,
            Saving = Saving,
            Kernels = KernelChoices.Of(Model),
            MaxSkippedSteps = MaxSkippedSteps,
            Identity = identity,
            Directory = Options.Output,
            Time = Time,
            Display = Display,
            Processes = Options.Processes,
        });
        var outcome = trainer.Run(Options.Resume, stop);
        if (outcome.End == TrainingEnd.Interrupted)
        {
            return (outcome, null);
        }
        var results = TrainedModelWriter.Results(outcome.State, outcome.End);
        foreach (var (name, value) in outcome.State.BestLosses ?? new Dictionary<string, double>(StringComparer.Ordinal))
        {
            results[$"validation/{name}"] = value;
        }
        Conclude?.Invoke(results);
        if (!Options.Processes.IsFirst)
        {
            return (outcome, null);
        }
        var lineage = new Lineage
        {
            Stage = Stage,
            Parent = RunOptions.ParentOf(Parent.Package),
            Data = Lineage,
            RecipeName = Options.RecipeName,
            RecipeSha256 = RecipeIdentity.Sha256(identity.Recipe),
            Seed = Seed,
            Steps = outcome.State.Step,
            Tokens = outcome.State.LearnedTokens,
            Results = results,
        };
        return (outcome, TrainedModelWriter.Write(Model, Parent.Package.Directory, Parent.Template.StopTokenIds, lineage, Options.Output, Time, replace: Options.Resume));
    }
}
