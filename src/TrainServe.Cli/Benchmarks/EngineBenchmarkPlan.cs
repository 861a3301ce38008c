using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Inference.Execution;

namespace TrainServe.Cli.Benchmarks;

/// <summary>What to measure.</summary>
/// <param name="Precisions">Exports; the first is what the others are compared with.</param>
/// <param name="Batches">Sequences that decode together.</param>
/// <param name="PromptTokens">Of each sequence.</param>
/// <param name="Steps">Decode steps of one measurement.</param>
/// <param name="Rounds">How often all is measured, in turns.</param>
/// <param name="Threads">Of one step.</param>
/// <param name="Device">What computes.</param>
public sealed record EngineBenchmarkPlan(IReadOnlyList<string> Precisions, IReadOnlyList<int> Batches, int PromptTokens, int Steps, int Rounds, int Threads, InferenceDevice Device)
{
    /// <exception cref="InvalidDataException">An export has no certificate.</exception>
    /// <exception cref="RecipeException">A number is out of its range.</exception>
    public EngineBenchmarkPlan Validated(ModelPackage package)
    {
        foreach (string precision in Precisions)
        {
            package.RequireCertificate(precision);
        }
        Require(Precisions.Count > 0, $"{package.Directory} has no export; make one with: trainserve export --model {package.Directory}");
        Require(Batches.Count > 0 && Batches.All(batch => batch is >= 1 and <= 256), "--batch must be from 1 to 256.");
        Require(PromptTokens >= 2 && Steps >= 1 && Rounds >= 1 && Threads >= 0, "--prompt must be 2 or more, --steps and --rounds 1 or more, --threads 0 or more.");
        Require(Steps >= 2 * Batches.Max(), $"--steps is {Steps}; it must be twice the largest batch at least, {2 * Batches.Max()}, or the engine's requests do not all run together.");
        Require(PromptTokens + Steps <= package.Config.MaxPositionEmbeddings, $"--prompt and --steps are {PromptTokens + Steps} tokens together; the model's context holds {package.Config.MaxPositionEmbeddings}.");
        return this with { Threads = Threads == 0 ? Environment.ProcessorCount : Threads };

        static void Require(bool holds, string rule)
        {
            if (!holds)
            {
                throw new RecipeException(rule);
            }
        }
    }
}

/// <summary>One line of the result.</summary>
/// <param name="Ratio">To the first precision; for the engine's lines, to the bare loop of the same precision. The median over rounds of the ratio within a round.</param>
public sealed record EngineFigure(string Precision, string Measurement, double TokensPerSecond, double Ratio);
