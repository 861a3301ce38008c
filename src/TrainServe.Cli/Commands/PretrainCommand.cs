using System.CommandLine;
using TrainServe.Training.Pretraining;
using TrainServe.Training.Recipes;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve pretrain</c>: text becomes a model.</summary>
public static class PretrainCommand
{
    public static Command Create()
    {
        var arguments = new TrainingArguments("pretrain", "Trains a language model on text.",
            "Text, or packed data, as PATH or NAME=PATH; replaces the recipe's data.sources.", "A model directory to go on from.");
        var tokenizer = new Option<string?>("--tokenizer") { Description = "A directory with tokenizer.json; otherwise that of the model or the packed data, or one trained as the recipe says." };
        arguments.Command.Add(tokenizer);
        arguments.Command.SetAction(parsed =>
        {
            var options = arguments.Options(parsed) with { Tokenizer = parsed.GetValue(tokenizer) };
            var recipe = RecipeFile.Read<PretrainingRecipe>(options.RecipePath, options.Overrides);
            return arguments.Run(parsed, options, (work, display, stop) => PretrainingLoop.Prepare(options, recipe, work, display, TimeProvider.System, stop));
        });
        return arguments.Command;
    }
}
