using System.CommandLine;
using TrainServe.Export;
using TrainServe.Model;
using TrainServe.Publishing;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve export</c>: trained weights become an ONNX graph that is proven equal.</summary>
public static class ExportCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "The model directory.", Required = true };
        var precision = new Option<string[]>("--precision") { Description = "fp32.", DefaultValueFactory = _ => [ExportPrecision.Fp32.Name], AllowMultipleArgumentsPerToken = true };
        var output = new Option<string?>("--output") { Description = "A directory for the model with its export; without it the export becomes part of the model directory." };
        var command = new Command("export", "Exports a model to ONNX and certifies that both compute the same.") { model, precision, output };
        command.SetAction(arguments =>
        {
            TorchRuntime.Initialize();
            string directory = arguments.GetRequiredValue(model);
            var precisions = arguments.GetRequiredValue(precision).Select(ExportPrecision.Parse).ToList();
            if (arguments.GetValue(output) is { } other)
            {
                PackageCopy.Make(directory, other, TimeProvider.System);
                directory = other;
            }
            foreach (var wanted in precisions)
            {
                var certificate = Publisher.Publish(directory, wanted, TimeProvider.System);
                Console.WriteLine($"{wanted.Name}: logits within {Math.Max(certificate.TeacherForcedError, Math.Max(certificate.ChunkedError, Math.Max(certificate.TokenByTokenError, certificate.BatchedError))):G3} on {certificate.Positions:N0} positions, "
                    + $"{certificate.GreedyEqual} of {certificate.GreedyPrompts} greedy continuations equal, {certificate.GreedyNearTies} at a near tie");
            }
            Console.WriteLine($"next: trainserve chat --model {directory}");
        });
        return command;
    }
}
