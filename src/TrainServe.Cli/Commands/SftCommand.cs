using System.CommandLine;
using TrainServe.Training.FineTuning;
using TrainServe.Training.Recipes;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve sft</c>: a model learns to chat from conversations.</summary>
public static class SftCommand
{
    public static Command Create()
    {
        var arguments = new TrainingArguments("sft", "Fine-tunes a model on conversations.",
            "Files of conversations (.jsonl or .json, also .gz), as PATH or NAME=PATH; replaces the recipe's data.sources.", "The model directory to begin from.");
        arguments.Command.SetAction(parsed =>
        {
            var options = arguments.Options(parsed);
            var recipe = RecipeFile.Read<FineTuningRecipe>(options.RecipePath, options.Overrides);
            return arguments.Run(parsed, options, (work, display, stop) => SftLoop.Prepare(options, recipe, work, display, TimeProvider.System, stop));
        });
        return arguments.Command;
    }
}
