using System.CommandLine;
using TrainServe.Cli.Benchmarks;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Inference.Execution;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve bench engine</c>: raw prefill and decode of a model's exports, side by side.</summary>
public static class BenchEngineCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "A model directory with exports.", Required = true };
        var precision = new Option<string[]>("--precision") { Description = "Which exports; all that the model has if not given. The first is what the others are compared with.", AllowMultipleArgumentsPerToken = true };
        var batch = new Option<int[]>("--batch") { Description = "Sequences that decode together.", DefaultValueFactory = _ => [1, 8], AllowMultipleArgumentsPerToken = true };
        var prompt = new Option<int>("--prompt") { Description = "Tokens of a prompt.", DefaultValueFactory = _ => 512 };
        var steps = new Option<int>("--steps") { Description = "Decode steps of one measurement.", DefaultValueFactory = _ => 32 };
        var rounds = new Option<int>("--rounds") { Description = "How often all is measured, in turns; the median counts.", DefaultValueFactory = _ => 5 };
        var threads = new Option<int>("--threads") { Description = "0 takes all cores." };
        var device = new Option<string>("--device") { Description = "cpu, cuda or cuda:N, which runs fp16 exports only.", DefaultValueFactory = _ => "cpu" };
        var json = new Option<string?>("--json") { Description = "Writes the figures to a file as well." };
        var command = new Command("engine", "Prefill and decode speed of a model's exports, alternating in one run, so that ratios hold on a busy machine too.") { model, precision, batch, prompt, steps, rounds, threads, device, json };
        command.SetAction(async (arguments, cancellationToken) =>
        {
            var package = ModelPackage.OpenVerified(arguments.GetRequiredValue(model));
            string where = arguments.GetRequiredValue(device);
            string[] precisions = arguments.GetValue(precision) is { Length: > 0 } given ? given : where == "cpu" ? [.. package.Precisions] : [ExecutionChoice.Of(package, PrecisionChoice.Auto, where).Precision];
            var devices = precisions.Select(name => ExecutionChoice.Of(package, name, where).Device).Distinct().ToArray();
            var plan = new EngineBenchmarkPlan(precisions, arguments.GetRequiredValue(batch), arguments.GetValue(prompt), arguments.GetValue(steps), arguments.GetValue(rounds), arguments.GetValue(threads), devices[0]).Validated(package);
            await using var benchmark = new EngineBenchmark(package, plan);
            var results = await benchmark.RunAsync(cancellationToken);
            Show(package, plan, results);
            if (arguments.GetValue(json) is { } path)
            {
                JsonFile.Write(path, new { Model = package.Name, package.Config.ParameterCount, Processors = Environment.ProcessorCount, Device = plan.Device.ToString(), Plan = plan, Results = results }, JsonFile.SnakeCase);
            }
        });
        return command;
    }

    private static void Show(ModelPackage package, EngineBenchmarkPlan plan, IReadOnlyList<EngineFigure> results)
    {
        Console.WriteLine($"{package.Name}: {package.Config.ParameterCount:N0} parameters, {Environment.ProcessorCount} processors, {plan.Device}, {plan.Threads} threads, median of {plan.Rounds} alternating rounds");
        Console.WriteLine($"{"",-10} {"measurement",-26} {"tokens/s",10} {"to " + plan.Precisions[0],10}");
        foreach (var figure in results)
        {
            Console.WriteLine($"{figure.Precision,-10} {figure.Measurement,-26} {figure.TokensPerSecond,10:N1} {figure.Ratio,10:0.00}");
        }
    }
}
