using System.CommandLine;
using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve ppo</c>: a model learns to give answers that a reward model scores high.</summary>
public static class PpoCommand
{
    public static Command Create()
    {
        var arguments = new TrainingArguments("ppo", "Aligns a model with a reward model by proximal policy optimization.",
            "Files of prompts (.jsonl or .json, also .gz), as PATH or NAME=PATH; replaces the recipe's data.sources.", "The model directory to begin from, which is also the reference.");
        var reward = new Option<string>("--reward") { Description = "The reward model's directory, of the same tokenizer.", Required = true };
        arguments.Command.Add(reward);
        arguments.Command.SetAction(parsed =>
        {
            var options = arguments.Options(parsed) with { RewardModel = parsed.GetRequiredValue(reward) };
            var recipe = RecipeFile.Read<PpoRecipe>(options.RecipePath, options.Overrides);
            return arguments.Run(parsed, options, (_, display, stop) => PpoTrainer.Prepare(options, recipe, display, TimeProvider.System, stop));
        });
        return arguments.Command;
    }
}
