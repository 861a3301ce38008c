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
        var model = new Option<string>("--model") { Description = "The model directory; the export becomes part of it.", Required = true };
        var precision = new Option<string[]>("--precision") { Description = "fp32.", DefaultValueFactory = _ => [ExportPrecision.Fp32.Name], AllowMultipleArgumentsPerToken = true };
        var command = new Command("export", "Exports a model to ONNX and certifies that both compute the same.") { model, precision };
        command.SetAction(arguments =>
        {
            TorchRuntime.Initialize();
            foreach (string name in arguments.GetRequiredValue(precision))
            {
                var certificate = Publisher.Publish(arguments.GetRequiredValue(model), ExportPrecision.Parse(name), TimeProvider.System);
                Console.WriteLine($"{name}: logits within {Math.Max(certificate.TeacherForcedError, Math.Max(certificate.ChunkedError, Math.Max(certificate.TokenByTokenError, certificate.BatchedError))):G3} on {certificate.Positions:N0} positions, "
                    + $"{certificate.GreedyEqual} of {certificate.GreedyPrompts} greedy continuations equal, {certificate.GreedyNearTies} at a near tie");
            }
            Console.WriteLine($"next: trainserve chat --model {arguments.GetRequiredValue(model)}");
        });
        return command;
    }
}
