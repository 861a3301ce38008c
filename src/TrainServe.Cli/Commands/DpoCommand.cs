using System.CommandLine;
using TrainServe.Training.PreferenceOptimization;
using TrainServe.Training.Recipes;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve dpo</c>: a model learns from pairs of answers directly.</summary>
public static class DpoCommand
{
    public static Command Create()
    {
        var arguments = new TrainingArguments("dpo", "Aligns a model with preference pairs by direct preference optimization.",
            "Files of preference pairs (.jsonl or .json, also .gz), as PATH or NAME=PATH; replaces the recipe's data.sources.", "The model directory to begin from, which is also the reference.");
        arguments.Command.SetAction(parsed =>
        {
            var options = arguments.Options(parsed);
            var recipe = RecipeFile.Read<DpoRecipe>(options.RecipePath, options.Overrides);
            return arguments.Run(parsed, options, (work, display, stop) => DpoTrainer.Prepare(options, recipe, work, display, TimeProvider.System, stop));
        });
        return arguments.Command;
    }
}
