using System.CommandLine;
using System.Globalization;
using TrainServe.Core.IO;
using TrainServe.Model;
using TrainServe.Training.Benchmarks;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve bench train</c>: how fast training is here, against libtorch's operators.</summary>
public static class BenchTrainCommand
{
    public static Command Create()
    {
        var shapes = new Option<string[]>("--shape")
        {
            Description = $"One or several of {string.Join(", ", TrainingShape.All.Select(shape => shape.Name))}.", DefaultValueFactory = _ => ["3m"], AllowMultipleArgumentsPerToken = true,
        };
        var batch = new Option<int?>("--batch") { Description = "Rows of a step, B; the shape's own when not given." };
        var length = new Option<int?>("--sequence-length") { Description = "Tokens of a row, T; the shape's own when not given." };
        var steps = new Option<int>("--steps") { Description = "Steps of each kind, in turn; the medians are reported.", DefaultValueFactory = _ => 10 };
        var precision = new Option<TrainingPrecision>("--precision") { Description = "Of the fast step: auto, float32 or bfloat16." };
        var threads = new Option<int>("--threads") { Description = "Threads of one operation; 0 for one a core." };
        var json = new Option<string?>("--json") { Description = "A file for the results." };
        var command = new Command("train", "Measures the training step: plain and fast in turn, in one process.") { shapes, batch, length, steps, precision, threads, json };
        command.SetAction(arguments =>
        {
            RequirePositive(arguments.GetValue(steps), "--steps");
            RequirePositive(arguments.GetValue(batch) ?? 1, "--batch");
            RequirePositive(arguments.GetValue(length) ?? 1, "--sequence-length");
            TrainingShape[] chosen = [.. arguments.GetValue(shapes)!.Select(TrainingShape.Named)];
            TorchRuntime.Initialize(arguments.GetValue(threads));
            var results = new List<StepMeasurement>();
            Console.WriteLine("shape    step                       B     T   tokens/s  ms a step  ratio  of processor time  GEMM  ms an update  ratio   peak memory");
            foreach (var shape in chosen)
            {
                using var benchmark = new StepBenchmark(shape, arguments.GetValue(batch) ?? shape.Rows, arguments.GetValue(length) ?? shape.Columns, arguments.GetValue(precision));
                foreach (var result in benchmark.Run(arguments.GetValue(steps)))
                {
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                        $"{result.Shape,-8} {result.Step,-24} {result.Batch,4} {result.SequenceLength,5} {result.TokensPerSecond,10:N0} {result.Seconds * 1000,10:N0} {result.RatioToPlain,6:F2} {result.ProcessorRatioToPlain,18:F2} {result.GemmFraction,5:P0} {result.UpdateSeconds * 1000,13:N1} {result.UpdateRatioToPlain,6:F2} {result.PeakBytes >> 20,9:N0} MiB"));
                    results.Add(result);
                }
            }
            if (arguments.GetValue(json) is { } path)
            {
                JsonFile.Write(path, results, JsonFile.SnakeCase);
            }
        });
        return command;
    }

    private static void RequirePositive(int value, string option)
    {
        if (value < 1)
        {
            throw new ArgumentException($"{option} is {value}; it must be at least 1.", nameof(value));
        }
    }
}
