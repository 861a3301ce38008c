using System.CommandLine;
using TrainServe.Training.Recipes;
using TrainServe.Training.RewardModeling;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve reward</c>: a model learns from pairs of answers which one people like better.</summary>
public static class RewardCommand
{
    public static Command Create()
    {
        var arguments = new TrainingArguments("reward", "Trains a reward model on preference pairs.",
            "Files of preference pairs (.jsonl or .json, also .gz), as PATH or NAME=PATH; replaces the recipe's data.sources.", "The model directory to begin from: a language model, or a reward model.");
        arguments.Command.SetAction(parsed =>
        {
            var options = arguments.Options(parsed);
            var recipe = RecipeFile.Read<RewardRecipe>(options.RecipePath, options.Overrides);
            return arguments.Run(parsed, options, (_, display, stop) => RewardTrainer.Prepare(options, recipe, display, TimeProvider.System, stop));
        });
        return arguments.Command;
    }
}
