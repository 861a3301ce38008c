using TrainServe.Core;
using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.Training.Loops;

namespace TrainServe.Training.Alignment;

/// <summary>The model that a stage begins from, with its tokenizer and template.</summary>
public sealed record StageModel(ModelPackage Package, TextTokenizer Tokenizer, ChatTemplate Template)
{
    /// <summary>What fills rows; no result depends on it.</summary>
    public int Padding => Tokenizer.Special.HasPad ? Tokenizer.Special.PadId : 0;

    /// <summary>Opens the model of a run.</summary>
    /// <param name="options">Name it.</param>
    /// <param name="stage">For messages.</param>
    /// <exception cref="RecipeException">None is named.</exception>
    public static StageModel Open(RunOptions options, string stage)
    {
        var package = options.OpenModel() ?? throw new RecipeException($"{stage} needs a model to begin from; give --model DIR.");
        return Of(package);
    }

    public static StageModel Of(ModelPackage package)
    {
        var tokenizer = package.LoadTokenizer();
        return new StageModel(package, tokenizer, package.LoadChatTemplate(tokenizer));
    }

    /// <exception cref="InvalidDataException">The model gives scores and no tokens.</exception>
    public StageModel RequireLanguageModel() => Package.Config.IsRewardModel
        ? throw new InvalidDataException($"{Package.Directory} is a reward model, which gives scores and no tokens; a language model is needed here.")
        : this;

    /// <exception cref="InvalidDataException">The model is not a reward model, or not of the policy's tokenizer.</exception>
    public StageModel RequireRewardModelFor(StageModel policy)
    {
        if (!Package.Config.IsRewardModel)
        {
            throw new InvalidDataException($"{Package.Directory} is no reward model: it has no score. Make one with: trainserve reward --model {Package.Directory}");
        }
        return Tokenizer.Sha256 == policy.Tokenizer.Sha256 ? this
            : throw new InvalidDataException($"{Package.Directory} was made with another tokenizer than {policy.Package.Directory}: their hashes are {Tokenizer.Sha256} and {policy.Tokenizer.Sha256}.");
    }

    /// <summary>The length of rows: what the recipe says, or the model's context.</summary>
    /// <exception cref="RecipeException">The recipe says more than the model's context.</exception>
    public int Columns(int? sequenceLength)
    {
        int context = Package.Config.MaxPositionEmbeddings;
        return sequenceLength is { } length && length > context ? throw new RecipeException($"data.sequence_length is {length}; {Package.Directory} has a context of {context} tokens.") : sequenceLength ?? context;
    }
}
