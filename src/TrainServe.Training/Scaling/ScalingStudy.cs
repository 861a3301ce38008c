using System.Globalization;
using TrainServe.Core;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Loops;
using TrainServe.Training.Pretraining;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Scaling;

/// <summary>A run of the ladder.</summary>
/// <param name="Scale">Of the recipe's model.</param>
/// <param name="Steps">Of training.</param>
/// <param name="Parameters">N.</param>
/// <param name="Tokens">D.</param>
/// <param name="Loss">On held-out rows, nats a token.</param>
public sealed record ScalingRun(double Scale, int Steps, long Parameters, long Tokens, double Loss);

/// <summary>What a ladder found.</summary>
/// <param name="Runs">All of them.</param>
/// <param name="Fit">Loss against parameters and tokens.</param>
/// <param name="Next">The next size with the largest amount of data, and its foretold loss.</param>
/// <param name="NextBestTokens">The tokens that the next size would best be trained on; null where the runs do not say.</param>
/// <param name="NextBestLoss">The loss foretold for them.</param>
public sealed record ScalingReport(IReadOnlyList<ScalingRun> Runs, ScalingFit Fit, ScalingPoint Next, double? NextBestTokens, double? NextBestLoss);

/// <summary>Trains every size of a ladder on every amount of data, and fits the losses.</summary>
/// <remarks>A run that is finished is not made again: an interrupted ladder goes on where it was.</remarks>
public sealed class ScalingStudy
{
    public const string ReportFile = "scaling.json", ChartFile = "scaling.svg";
    private const string PreparedDirectory = "prepared";
    private readonly RunOptions _options;
    private readonly PretrainingRecipe _recipe;
    private readonly IReadOnlyList<double> _scales;
    private readonly IReadOnlyList<int> _steps;

    /// <param name="options">Recipe, data and the ladder's directory.</param>
    /// <param name="recipe">The largest model, and everything that all runs share.</param>
    /// <param name="scales">Of width and depth, each at most once.</param>
    /// <param name="steps">Of training, each at most once.</param>
    /// <exception cref="RecipeException">The recipe has no model, nothing is held out, or there are too few runs for a fit.</exception>
    public ScalingStudy(RunOptions options, PretrainingRecipe recipe, IReadOnlyList<double> scales, IReadOnlyList<int> steps)
    {
        (_options, _recipe, _scales, _steps) = (options, recipe, [.. scales.Distinct().Order()], [.. steps.Distinct().Order()]);
        if (recipe.Model is null)
        {
            throw new RecipeException($"{options.RecipePath} has no section model; a ladder is made of its sizes.");
        }
        if (_scales.Count < 2 || _steps.Count < 2 || _scales.Count * _steps.Count < 5 || _scales[0] <= 0 || _steps[0] < 1)
        {
            throw new RecipeException($"{_scales.Count} sizes and {_steps.Count} amounts of data do not make a fit; give at least two of each and five runs in all, all above 0.");
        }
        foreach (double scale in _scales)
        {
            _ = ScalingLadder.Scaled(recipe.Model, scale);
        }
    }

    /// <returns>The report, which lies in the directory too; null when it was interrupted.</returns>
    /// <param name="display">Is told what is done.</param>
    /// <param name="time">The clock.</param>
    /// <param name="stop">The request to save and stop.</param>
    public ScalingReport? Run(ITrainingDisplay display, TimeProvider time, CancellationToken stop)
    {
        using var runLock = RunLock.Take(_options.Output);
        var runs = new List<ScalingRun>();
        foreach (double scale in _scales)
        {
            foreach (int steps in _steps)
            {
                if (Train(scale, steps, display, time, stop) is not { } run)
                {
                    return null;
                }
                runs.Add(run);
                display.Note(string.Create(CultureInfo.InvariantCulture, $"{run.Parameters:N0} parameters, {run.Tokens:N0} tokens: loss {run.Loss:F4}"));
            }
        }
        var report = Report(runs);
        JsonFile.Write(Path.Combine(_options.Output, ReportFile), report, JsonFile.SnakeCase);
        File.WriteAllText(Path.Combine(_options.Output, ChartFile), ScalingChart.Draw(Points(runs), report.Fit, report.Next));
        return report;
    }

    private ScalingRun? Train(double scale, int steps, ITrainingDisplay display, TimeProvider time, CancellationToken stop)
    {
        string output = Path.Combine(_options.Output, string.Create(CultureInfo.InvariantCulture, $"scale-{scale:0.###}-steps-{steps}"));
        var recipe = _recipe with
        {
            Model = ScalingLadder.Scaled(_recipe.Model!, scale),
            Training = _recipe.Training with { Steps = steps, Epochs = null },
        };
        var options = _options with { Output = output };
        options = options with { Resume = options.HoldsProgress };
        options.RequireUsableOutput();
        using var runLock = RunLock.Take(output);
        using var run = PretrainingLoop.Prepare(options, recipe, Path.Combine(_options.Output, PreparedDirectory), display, time, stop);
        var (outcome, package) = run.Run(stop);
        if (package is null)
        {
            return null;
        }
        double loss = outcome.State.Best.BestLoss ?? throw new RecipeException("Nothing is held out, so that there is no loss to compare; set data.validation_fraction.");
        return new ScalingRun(scale, steps, package.Config.ParameterCount, outcome.State.LearnedTokens, loss);
    }

    private ScalingReport Report(IReadOnlyList<ScalingRun> runs)
    {
        var fit = ScalingFit.Of(Points(runs));
        long tokens = runs.Max(run => run.Tokens), parameters = NextParameters(runs);
        double? best = fit.BestTokens(parameters);
        return new ScalingReport(runs, fit, new ScalingPoint(parameters, tokens, fit.Loss(parameters, tokens)), best, best is { } amount ? fit.Loss(parameters, amount) : null);
    }

    // Of the same vocabulary as the runs.
    private long NextParameters(IReadOnlyList<ScalingRun> runs)
    {
        var largest = ModelPackage.Open(Path.Combine(_options.Output, string.Create(CultureInfo.InvariantCulture, $"scale-{_scales[^1]:0.###}-steps-{_steps[^1]}"))).Config;
        var shape = ScalingLadder.Scaled(_recipe.Model!, ScalingLadder.Next(_scales));
        long next = (largest with
        {
            HiddenSize = shape.HiddenSize, IntermediateSize = shape.IntermediateSize, NumHiddenLayers = shape.NumHiddenLayers, NumAttentionHeads = shape.NumAttentionHeads,
            NumKeyValueHeads = shape.NumKeyValueHeads ?? shape.NumAttentionHeads, HeadDim = shape.HeadDim ?? 0,
        }).Validated("the next size").ParameterCount;
        return Math.Max(next, runs.Max(run => run.Parameters));
    }

    private static IReadOnlyList<ScalingPoint> Points(IEnumerable<ScalingRun> runs) => [.. runs.Select(run => new ScalingPoint(run.Parameters, run.Tokens, run.Loss))];
}
