using System.CommandLine;
using System.Globalization;
using TrainServe.Cli.Display;
using TrainServe.Core.IO;
using TrainServe.Model;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;
using TrainServe.Training.Scaling;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve scaling</c>: what a larger model, or more data, would reach.</summary>
public static class ScalingCommand
{
    public static Command Create()
    {
        var recipe = new Option<string>("--recipe") { Description = "A YAML file as for pretrain; its model is the size 1.", Required = true };
        var data = new Option<string[]>("--data") { Description = "Text, or packed data, as PATH or NAME=PATH; replaces the recipe's data.sources.", AllowMultipleArgumentsPerToken = true };
        var tokenizer = new Option<string?>("--tokenizer") { Description = "A directory with tokenizer.json; otherwise one is trained as the recipe says." };
        var output = new Option<string>("--output") { Description = "A directory for the runs, the fit (scaling.json) and the curve (scaling.svg). A ladder that was interrupted goes on.", Required = true };
        var sizes = new Option<double[]>("--sizes") { Description = "Parts of the model's width and depth.", DefaultValueFactory = _ => [0.5, 0.75, 1], AllowMultipleArgumentsPerToken = true };
        var steps = new Option<int[]>("--steps") { Description = "Training steps; each size is trained with each.", Required = true, AllowMultipleArgumentsPerToken = true };
        var set = new Option<string[]>("--set") { Description = "section.key=value replaces a key of the recipe; may be repeated." };
        var threads = new Option<int>("--threads") { Description = "Threads of one operation; 0 for one a core." };
        var json = new Option<string?>("--json") { Description = "A file for the report, beside the one in the output directory." };
        var command = new Command("scaling", "Trains a ladder of sizes on the same data and fits loss against parameters and tokens.") { recipe, data, tokenizer, output, sizes, steps, set, threads, json };
        command.SetAction(arguments =>
        {
            var options = new RunOptions
            {
                RecipePath = arguments.GetRequiredValue(recipe), Overrides = arguments.GetValue(set) ?? [], Data = arguments.GetValue(data) ?? [], Tokenizer = arguments.GetValue(tokenizer), Output = arguments.GetRequiredValue(output),
            };
            var study = new ScalingStudy(options, RecipeFile.Read<PretrainingRecipe>(options.RecipePath, options.Overrides), arguments.GetRequiredValue(sizes), arguments.GetRequiredValue(steps));
            TorchRuntime.Initialize(arguments.GetValue(threads));
            using var signal = new InterruptSignal(() => Console.Error.WriteLine("Stopping after this step; the state is saved. The same command goes on."));
            return TrainingDisplays.Run(display =>
            {
                if (study.Run(display, TimeProvider.System, signal.Requested) is not { } report)
                {
                    return ExitCodes.Interrupted;
                }
                foreach (string line in Lines(report))
                {
                    display.Note(line);
                }
                if (arguments.GetValue(json) is { } path)
                {
                    JsonFile.Write(path, report, JsonFile.SnakeCase);
                }
                return ExitCodes.Done;
            });
        });
        return command;
    }

    private static IEnumerable<string> Lines(ScalingReport report)
    {
        var (fit, next) = (report.Fit, report.Next);
        yield return string.Create(CultureInfo.InvariantCulture,
            $"fit: loss = {fit.Irreducible:G4} + {fit.SizeCoefficient:G4} / N^{fit.SizeExponent:F3} + {fit.DataCoefficient:G4} / D^{fit.DataExponent:F3}, relative error {fit.RelativeError:P2}");
        yield return string.Create(CultureInfo.InvariantCulture, $"next: {next.Parameters:N0} parameters should reach {next.Loss:F4} after {next.Tokens:N0} tokens");
        if (report.NextBestTokens is { } tokens)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"best: that size is the one to take for {tokens:N0} tokens, and should reach {report.NextBestLoss:F4} with them");
        }
    }
}
