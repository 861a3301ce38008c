using TrainServe.Core;
using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.Model;
using TrainServe.Training.Alignment;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Distributed;
using TrainServe.Training.FineTuning.Lora;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.FineTuning;

/// <summary>Supervised fine-tuning: a model learns to answer as the assistant of conversations does.</summary>
/// <remarks>Only the assistant's tokens and the token that ends its turn have a loss. The rows are packed; conversations in one row do not attend to each other.</remarks>
public sealed class SftLoop : ITrainingRun
{
    public const string Stage = "sft";

    /// <summary>Where adapters are written in the run's directory.</summary>
    public const string AdapterDirectory = "adapter";
    private const string TokenizerDirectory = "tokenizer";
    private readonly RunOptions _options;
    private readonly FineTuningRecipe _recipe;
    private readonly ConversationData _data;
    private readonly ChatTemplate _template;
    private readonly string _tokenizerDirectory;
    private readonly Transformer _model;
    private readonly TrainingSetup _setup;
    private readonly ModelPackage _parent;

    private SftLoop(RunOptions options, FineTuningRecipe recipe, ModelPackage parent, TextTokenizer tokenizer, ChatTemplate template, string tokenizerDirectory, ConversationData data, int columns, Transformer model, ITrainingDisplay display, TimeProvider time)
    {
        (_options, _recipe, _parent, _template, _tokenizerDirectory, _data, _model) = (options, recipe, parent, template, tokenizerDirectory, data, model);
        int rows = BatchShare.Of(recipe.Training, options.Processes).MicroRows;
        var (mixture, packed) = data.Mixture(recipe.Seed);
        _setup = new TrainingSetup
        {
            Model = model,
            Data = mixture,
            Validation = data.Validation(recipe.Validation.MaxRows, rows),
            Seed = recipe.Seed,
            Training = recipe.Training,
            Optimizer = recipe.Optimizer,
            Measuring = recipe.Validation,
            Saving = recipe.Checkpoint,
            Identity = new RunIdentity(Stage, RecipeIdentity.Of(recipe), tokenizer.Sha256, data.Identity(), FileHash.OfFile(parent.WeightsPath)),
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
            RowsPerEpoch = mixture.RowsPerEpoch,
            Preview = MaskPreview.Of(mixture.Read(mixture.Start, rows: 4), tokenizer, texts: 3),
            Notes = [.. data.Notes(packed)],
        };
    }

    /// <inheritdoc/>
    public TrainingPlan Plan { get; }

    /// <summary>Reads and packs the conversations and loads the model.</summary>
    /// <param name="options">What the user asked for; the model is needed.</param>
    /// <param name="recipe">What the recipe says.</param>
    /// <param name="workDirectory">Where the tokenizer's files go that the new model gets.</param>
    /// <param name="display">Is told what is done.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Stops the preparation.</param>
    /// <exception cref="RecipeException">Recipe and options do not fit together.</exception>
    /// <exception cref="InvalidDataException">The model or the conversations cannot be used, or the tokenizer has no control tokens for a chat.</exception>
    public static SftLoop Prepare(RunOptions options, FineTuningRecipe recipe, string workDirectory, ITrainingDisplay display, TimeProvider time, CancellationToken cancellationToken = default)
    {
        _ = BatchShare.Of(recipe.Training, options.Processes);
        var parent = options.OpenModel() ?? throw new RecipeException("sft needs a model to begin from; give --model DIR.");
        if (parent.Config.IsRewardModel)
        {
            throw new InvalidDataException($"{options.Model} is a reward model, which gives scores and no tokens.");
        }
        int columns = recipe.Data.SequenceLength ?? parent.Config.MaxPositionEmbeddings;
        if (columns > parent.Config.MaxPositionEmbeddings)
        {
            throw new RecipeException($"data.sequence_length is {columns}; {options.Model} has a context of {parent.Config.MaxPositionEmbeddings} tokens.");
        }
        var tokenizer = parent.LoadTokenizer();
        var template = TemplateOf(parent, tokenizer);
        var data = new ConversationData(recipe.Data, options.Sources(recipe.Data.Sources), template, columns, tokenizer.Special.HasPad ? tokenizer.Special.PadId : 0, cancellationToken);
        string tokenizerDirectory = Path.Combine(workDirectory, TokenizerDirectory);
        if (options.Processes.IsFirst)
        {
            WriteTokenizer(parent, tokenizer, template, tokenizerDirectory);
        }
        var model = Transformer.Load(parent, recipe.Training.Dropout, device: options.Device);
        model.EmbeddingNoise = recipe.NeftuneAlpha;
        try
        {
            return new SftLoop(options, recipe, parent, tokenizer, template, tokenizerDirectory, data, columns, model, display, time);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public (TrainingOutcome Outcome, ModelPackage? Package) Run(CancellationToken stop)
    {
        var outcome = _recipe.Lora is null ? Train(stop) : TrainAdapters(stop);
        if (outcome.End == TrainingEnd.Interrupted || !_options.Processes.IsFirst)
        {
            return (outcome, null);
        }
        var lineage = new Lineage
        {
            Stage = Stage,
            Parent = RunOptions.ParentOf(_parent),
            Data = _data.Lineage(),
            RecipeName = _options.RecipeName,
            RecipeSha256 = RecipeIdentity.Sha256(_setup.Identity.Recipe),
            Seed = _recipe.Seed,
            Steps = outcome.State.Step,
            Tokens = outcome.State.LearnedTokens,
            Results = TrainedModelWriter.Results(outcome.State, outcome.End),
        };
        return (outcome, TrainedModelWriter.Write(_model, _tokenizerDirectory, _template.StopTokenIds, lineage, _options.Output, _setup.Time, replace: _options.Resume));
    }

    public void Dispose() => _model.Dispose();

    private TrainingOutcome Train(CancellationToken stop)
    {
        using var loop = new TrainingLoop(_setup);
        return loop.Run(_options.Resume, stop);
    }

    // The model's directory gets the merged weights; beside it the adapters lie alone, in PEFT's layout.
    private TrainingOutcome TrainAdapters(CancellationToken stop)
    {
        _model.Kernels = TrainingKernels.Choose(_recipe.Training.Precision, _model);
        _model.ActivationCheckpointing = _recipe.Training.ActivationCheckpointing;
        using var objective = new LoraObjective(_recipe, _model, _setup.Data, _setup.Validation, _options.Processes);
        var outcome = new ObjectiveTrainer(new ObjectiveSetup
        {
            Objective = objective,
            Measuring = _recipe.Validation,
            Saving = _recipe.Checkpoint,
            Kernels = KernelChoices.Of(_model),
            MaxSkippedSteps = _recipe.Training.MaxSkippedSteps,
            Identity = _setup.Identity,
            Directory = _options.Output,
            Time = _setup.Time,
            Display = _setup.Display,
            Processes = _options.Processes,
        }).Run(_options.Resume, stop);
        if (outcome.End != TrainingEnd.Interrupted && _options.Processes.IsFirst)
        {
            PeftAdapter.Write(Path.Combine(_options.Output, AdapterDirectory), objective.Adapters, _recipe.Lora!, _parent.Name);
        }
        return outcome;
    }

    // A base model whose tokenizer has the control tokens, but no template yet, gets ours.
    private static ChatTemplate TemplateOf(ModelPackage parent, TextTokenizer tokenizer)
    {
        var template = parent.LoadChatTemplate(tokenizer);
        var ours = SpecialTokens.Ours.Where(token => tokenizer.Special.TryGetId(token) is null).ToList();
        return template.Name != "plain" ? template
            : ours.Count == 0 ? ChatTemplate.TrainServe(tokenizer)
            : throw new InvalidDataException($"The tokenizer of {parent.Directory} has no chat format: it lacks {string.Join(", ", ours)}. Fine-tuning on conversations needs a model whose tokenizer has them, as trainserve tokenizer train makes it.");
    }

    private static void WriteTokenizer(ModelPackage parent, TextTokenizer tokenizer, ChatTemplate template, string directory)
    {
        Directory.CreateDirectory(directory);
        File.Copy(Path.Combine(parent.Directory, ModelPackage.TokenizerFile), Path.Combine(directory, ModelPackage.TokenizerFile), overwrite: true);
        var config = TokenizerConfig.Read(parent.Directory) with { ChatTemplate = template.Jinja };
        config.Write(directory, tokenizer.Special);
    }
}
