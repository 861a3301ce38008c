using System.CommandLine;
using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve grpo</c>: a model learns from rewards that can be checked.</summary>
public static class GrpoCommand
{
    public static Command Create()
    {
        var arguments = new TrainingArguments("grpo", "Trains a model with rewards that can be checked, comparing several answers to each prompt (GRPO, Dr. GRPO, RLOO).",
            "Files of prompts with reference answers (.jsonl or .json, also .gz), as PATH or NAME=PATH; replaces the recipe's data.sources.", "The model directory to begin from, which is also the reference.");
        var reward = new Option<string?>("--reward") { Description = "A reward model's directory, where the recipe's rewards name the kind model." };
        arguments.Command.Add(reward);
        arguments.Command.SetAction(parsed =>
        {
            var options = arguments.Options(parsed) with { RewardModel = parsed.GetValue(reward) };
            var recipe = RecipeFile.Read<GrpoRecipe>(options.RecipePath, options.Overrides);
            return arguments.Run(parsed, options, (_, display, stop) => GrpoTrainer.Prepare(options, recipe, display, TimeProvider.System, stop));
        });
        return arguments.Command;
    }
}
