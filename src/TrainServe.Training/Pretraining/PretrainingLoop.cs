using System.Globalization;
using System.Text;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.Model;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Pretraining;

/// <summary>Next-token training on plain text: from files to a model directory.</summary>
public sealed class PretrainingLoop : ITrainingRun
{
    public const string Stage = "pretrain";
    private readonly RunOptions _options;
    private readonly PretrainingRecipe _recipe;
    private readonly RunTokenizer _tokenizer;
    private readonly RunData _data;
    private readonly Transformer _model;
    private readonly TrainingSetup _setup;
    private readonly ModelPackage? _parent;

    private PretrainingLoop(RunOptions options, PretrainingRecipe recipe, RunTokenizer tokenizer, RunData data, ModelPackage? parent, Transformer model, ITrainingDisplay display, TimeProvider time)
    {
        (_options, _recipe, _tokenizer, _data, _parent, _model) = (options, recipe, tokenizer, data, parent, model);
        int columns = recipe.Data.SequenceLength, rows = BatchShare.Of(recipe.Training, options.Processes).MicroRows;
        _setup = new TrainingSetup
        {
            Model = model,
            Data = data.Mixture(columns, recipe.Seed),
            Validation = data.Validation(columns, recipe.Validation.MaxRows, rows),
            Seed = recipe.Seed,
            Training = recipe.Training,
            Optimizer = recipe.Optimizer,
            Measuring = recipe.Validation,
            Saving = recipe.Checkpoint,
            Identity = new RunIdentity(Stage, RecipeIdentity.Of(recipe), tokenizer.Tokenizer.Sha256, data.Identity(), parent is null ? null : FileHash.OfFile(parent.WeightsPath)),
            Directory = options.Output,
            Time = time,
            Display = display,
            Processes = options.Processes,
        };
        Plan = new TrainingPlan
        {
            Stage = Stage,
            Model = model.Config,
            Memory = MemoryEstimate.Of(model.Config, rows, columns, TrainingKernels.Choose(recipe.Training.Precision, model), recipe.Training.ActivationCheckpointing, recipe.Training.Dropout > 0),
            Sources = data.Summary(),
            Columns = columns,
            BatchRows = recipe.Training.BatchRows,
            MicroBatchRows = rows,
            ActivationCheckpointing = recipe.Training.ActivationCheckpointing,
            IsOnGpu = model.Device.type == TorchSharp.DeviceType.CUDA,
            Processes = options.Processes,
            TotalSteps = _setup.TotalSteps,
            RowsPerEpoch = _setup.Data.RowsPerEpoch,
            Preview = Preview(_setup.Data, tokenizer.Tokenizer),
            Notes = _setup.Validation.Count == data.Summary().Count ? []
                : ["Of some sources nothing is held out, so that their loss on new text stays unknown; data.validation_fraction keeps a part."],
        };
    }

    /// <inheritdoc/>
    public TrainingPlan Plan { get; }

    /// <summary>Makes or finds tokenizer and packed data, and builds the model.</summary>
    /// <param name="options">What the user asked for.</param>
    /// <param name="recipe">What the recipe says.</param>
    /// <param name="workDirectory">Where tokenizer and packed data go, and are found again by a resumed run.</param>
    /// <param name="display">Is told what is done.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Stops the preparation.</param>
    /// <exception cref="RecipeException">Recipe and options do not fit together; the message says what to change.</exception>
    public static PretrainingLoop Prepare(RunOptions options, PretrainingRecipe recipe, string workDirectory, ITrainingDisplay display, TimeProvider time, CancellationToken cancellationToken = default)
    {
        _ = BatchShare.Of(recipe.Training, options.Processes);
        var sources = options.Sources(recipe.Data.Sources);
        var parent = options.OpenModel();
        if ((parent is null) == (recipe.Model is null))
        {
            throw new RecipeException(parent is null
                ? $"{options.RecipePath} has no section model; a new model needs its shape, or give --model DIR to go on from one."
                : $"{options.RecipePath} has a section model, and --model {options.Model} has a shape too; leave one out.");
        }
        if (parent is not null && parent.Config.MaxPositionEmbeddings < recipe.Data.SequenceLength)
        {
            throw new RecipeException($"data.sequence_length is {recipe.Data.SequenceLength}; {options.Model} has a context of {parent.Config.MaxPositionEmbeddings} tokens.");
        }
        var tokenizer = RunTokenizer.Find(options, recipe, sources, workDirectory, display.Note, cancellationToken);
        var data = RunData.Open(recipe.Data, sources, tokenizer, workDirectory, display.Note, cancellationToken);
        Transformer? model = null;
        try
        {
            model = parent is null ? NewModel(recipe, tokenizer.Tokenizer, options.Device) : Transformer.Load(parent, recipe.Training.Dropout, device: options.Device);
            return new PretrainingLoop(options, recipe, tokenizer, data, parent, model, display, time);
        }
        catch
        {
            model?.Dispose();
            data.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public (TrainingOutcome Outcome, ModelPackage? Package) Run(CancellationToken stop)
    {
        using var loop = new TrainingLoop(_setup);
        var outcome = loop.Run(_options.Resume, stop);
        if (outcome.End == TrainingEnd.Interrupted || !_options.Processes.IsFirst)
        {
            return (outcome, null);
        }
        var results = TrainedModelWriter.Results(outcome.State, outcome.End);
        foreach (var source in _setup.Validation)
        {
            if (source.TokensPerByte is { } tokens && outcome.State.BestLosses?.GetValueOrDefault(source.Name) is { } loss)
            {
                // The best measurement's loss, in bits and over the bytes of the text rather than its tokens.
                results[$"bits_per_byte/{source.Name}"] = loss * tokens / Math.Log(2);
            }
        }
        var special = _tokenizer.Tokenizer.Special;
        var lineage = new Lineage
        {
            Stage = Stage,
            Parent = _parent is null ? null : RunOptions.ParentOf(_parent),
            Data = _data.Lineage(),
            RecipeName = _options.RecipeName,
            RecipeSha256 = RecipeIdentity.Sha256(_setup.Identity.Recipe),
            Seed = _recipe.Seed,
            Steps = outcome.State.Step,
            Tokens = outcome.State.LearnedTokens,
            Results = results,
        };
        var package = TrainedModelWriter.Write(_model, _tokenizer.FilesDirectory, special.HasEos ? [special.EosId] : [], lineage, _options.Output, _setup.Time, replace: _options.Resume);
        return (outcome, package);
    }

    public void Dispose()
    {
        _model.Dispose();
        _data.Dispose();
    }

    private static Transformer NewModel(PretrainingRecipe recipe, TextTokenizer tokenizer, TorchSharp.torch.Device? device)
    {
        var model = new Transformer(recipe.Model!.ToConfig(tokenizer, recipe.Data.SequenceLength), recipe.Training.Dropout, device: device);
        model.Initialize(recipe.Seed);
        return model;
    }

    private static string Preview(IBatchSource data, TextTokenizer tokenizer)
    {
        const int rows = 2, shown = 240;
        var batch = data.Read(data.Start, rows);
        var preview = new StringBuilder();
        for (int row = 0; row < rows; row++)
        {
            string text = tokenizer.Decode(batch.Inputs.AsSpan(row * batch.Columns, batch.Columns), skipSpecial: false);
            preview.AppendLine(CultureInfo.InvariantCulture, $"row {row + 1}: {(text.Length > shown ? text[..shown] + "..." : text)}");
        }
        return preview.ToString();
    }
}
