using System.CommandLine;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Model;
using TrainServe.Publishing;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve export</c>: trained weights become ONNX graphs that are proven equal, or whose cost is measured.</summary>
public static class ExportCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "The model directory.", Required = true };
        var precision = new Option<string[]>("--precision") { Description = "fp32, fp16 (for GPUs), int8, int4, or several of them.", DefaultValueFactory = _ => [ExportPrecision.Fp32.Name], AllowMultipleArgumentsPerToken = true };
        var output = new Option<string?>("--output") { Description = "A directory for the model with its export; without it the export becomes part of the model directory." };
        var weights = new Option<string>("--weights") { Description = "With --output: float32 keeps the weights as they are, bfloat16 rounds them to half the size." };
        weights.AcceptOnlyFromAmong("float32", "bfloat16");
        var heldOut = new Option<string?>("--held-out") { Description = "Text that the model was not trained on (.txt, .jsonl, packed or not), to measure what fewer bits cost; without it the model writes its own." };
        var increase = new Option<double?>("--max-perplexity-increase") { Description = "How far fewer bits may raise the perplexity, in percent; 0.5 for fp16, 1 for int8 and 4 for int4 if not given." };
        var command = new Command("export", "Exports a model to ONNX and certifies that both compute the same, or what fewer bits cost.") { model, precision, output, weights, heldOut, increase };
        command.SetAction(arguments =>
        {
            TorchRuntime.Initialize();
            string directory = arguments.GetRequiredValue(model);
            var precisions = arguments.GetRequiredValue(precision).Select(ExportPrecision.Parse).ToList();
            var options = new PublishingOptions { HeldOutPath = arguments.GetValue(heldOut), MaxPerplexityIncrease = arguments.GetValue(increase) / 100 };
            bool bfloat16 = arguments.GetValue(weights) == "bfloat16";
            if (arguments.GetValue(output) is { } other)
            {
                PackageCopy.Make(directory, other, TimeProvider.System, bfloat16);
                directory = other;
            }
            else if (bfloat16)
            {
                throw new RecipeException("--weights bfloat16 needs --output: the model's own weights stay as they are.");
            }
            bool hadSingle = ModelPackage.Open(directory).Precisions.Contains(ExportPrecision.Fp32.Name, StringComparer.Ordinal);
            // Single precision first: the others are compared with it.
            foreach (var wanted in ExportPrecision.All.Where(precisions.Contains))
            {
                Show(Publisher.Publish(directory, wanted, TimeProvider.System, options));
            }
            // A copy is for deployment: what fewer bits were compared with is left out of it.
            if (arguments.GetValue(output) is not null && !hadSingle && !precisions.Contains(ExportPrecision.Fp32))
            {
                Publisher.Withdraw(directory, ExportPrecision.Fp32);
            }
            Console.WriteLine(ModelPackage.Open(directory).Config.IsRewardModel ? $"next: trainserve evaluate --model {directory}" : $"next: trainserve chat --model {directory}");
        });
        return command;
    }

    private static void Show(ParityCertificate certificate)
    {
        string compared = certificate.IsOrderOfScores ? "texts in the same order of scores" : "greedy continuations equal";
        string greedy = $"{certificate.GreedyEqual} of {certificate.GreedyPrompts} {compared}, {certificate.GreedyNearTies} at a near tie";
        if (certificate.Cost is not { } cost)
        {
            double error = Math.Max(certificate.TeacherForcedError, Math.Max(certificate.ChunkedError, Math.Max(certificate.TokenByTokenError, certificate.BatchedError)));
            Console.WriteLine($"{certificate.Precision}: {(certificate.IsOrderOfScores ? "scores" : "logits")} within {error:G3} on {certificate.Positions:N0} positions, {greedy}");
            return;
        }
        Console.WriteLine($"{certificate.Precision}: {cost.PerplexityChange()}, {cost.GreedyAgreement:P2} of {cost.Tokens:N0} tokens chosen equally ({cost.Source}); batched like alone: {greedy}");
    }
}
