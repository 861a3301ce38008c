using TrainServe.Core;
using TrainServe.Core.Data;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.Training.Data;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;
using TrainServe.Training.Tokenization;

namespace TrainServe.Training.Pretraining;

/// <summary>The tokenizer of a run and where its files are.</summary>
public sealed record RunTokenizer(TextTokenizer Tokenizer, string FilesDirectory)
{
    private const string TrainedDirectory = "tokenizer";

    /// <summary>Finds it: the option --tokenizer, the model's, the packed data's, or one that is trained on the run's text as the recipe says.</summary>
    /// <param name="options">Of the run.</param>
    /// <param name="recipe">May say how to train one.</param>
    /// <param name="sources">The data.</param>
    /// <param name="workDirectory">Where a trained one is kept.</param>
    /// <param name="note">Is told what is done.</param>
    /// <param name="cancellationToken">Stops the training.</param>
    /// <exception cref="RecipeException">There is none.</exception>
    /// <exception cref="InvalidDataException">The model was made with another one than the option names.</exception>
    public static RunTokenizer Find(RunOptions options, PretrainingRecipe recipe, IReadOnlyList<DataSourceSection> sources, string workDirectory, Action<string> note, CancellationToken cancellationToken)
    {
        if (options.Tokenizer is { } chosen)
        {
            var tokenizer = new RunTokenizer(TextTokenizer.Load(chosen), chosen);
            return options.Model is { } model && FileHash.OfFile(Path.Combine(model, ModelPackage.TokenizerFile)) is var hash && hash != tokenizer.Tokenizer.Sha256
                ? throw new InvalidDataException($"{chosen} is not the tokenizer of {model}: its hash is {tokenizer.Tokenizer.Sha256}, the model's is {hash}.")
                : tokenizer;
        }
        if (options.Model is { } start)
        {
            return new RunTokenizer(ModelPackage.Open(start).LoadTokenizer(), start);
        }
        if (sources.FirstOrDefault(source => PackedDataSet.IsOne(source.Path)) is { } packed)
        {
            return new RunTokenizer(TextTokenizer.Load(packed.Path), packed.Path);
        }
        var section = recipe.Tokenizer ?? throw new RecipeException($"{options.RecipePath} has no section tokenizer; add one with a vocab_size, or give --tokenizer DIR.");
        string directory = Path.Combine(workDirectory, TrainedDirectory);
        if (!Directory.Exists(directory))
        {
            note($"A tokenizer of {section.VocabSize} tokens is trained on the text.");
            Train(section, recipe.Data.SkipBadRecords, sources, directory, cancellationToken);
        }
        var trained = TextTokenizer.Load(directory);
        if (trained.VocabSize < section.VocabSize)
        {
            note($"The text has no more pairs that repeat, so that the tokenizer has {trained.VocabSize} tokens instead of {section.VocabSize}.");
        }
        return new RunTokenizer(trained, directory);
    }

    private static void Train(TokenizerSection section, bool skipBadRecords, IReadOnlyList<DataSourceSection> sources, string directory, CancellationToken cancellationToken)
    {
        string unfinished = directory + ".tmp";
        if (Directory.Exists(unfinished))
        {
            Directory.Delete(unfinished, recursive: true);
        }
        var documents = DocumentReader.Read(sources.Select(source => source.Path), skipBadRecords ? BadRecords.Lenient() : BadRecords.Strict());
        BpeTrainer.Train(documents, new BpeTrainerConfig { VocabSize = section.VocabSize }, cancellationToken: cancellationToken).Save(unfinished);
        DurableFile.MoveDirectory(unfinished, directory);
    }
}
