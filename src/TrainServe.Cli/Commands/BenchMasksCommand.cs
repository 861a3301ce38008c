using System.CommandLine;
using TrainServe.Cli.Benchmarks;
using TrainServe.Core.Data;
using TrainServe.Core.IO;
using TrainServe.Core.Tokenization;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve bench masks</c>: what structured output costs a token.</summary>
public static class BenchMasksCommand
{
    public static Command Create()
    {
        var tokenizer = new Option<string>("--tokenizer") { Description = "A directory with tokenizer.json, such as a model's.", Required = true };
        var schemas = new Option<string[]>("--schemas") { Description = "Files of JSON Schemas (.jsonl, packed or not): records with schema and tests, or schemas as they are.", Required = true, AllowMultipleArgumentsPerToken = true };
        var tokens = new Option<int>("--max-tokens") { Description = "Most tokens of an answer.", DefaultValueFactory = _ => 512 };
        var seed = new Option<ulong>("--seed") { Description = "Of the answers to schemas that come without texts.", DefaultValueFactory = _ => 1 };
        var json = new Option<string?>("--json") { Description = "Writes the figures to a file as well." };
        var command = new Command("masks", "Microseconds a token of keeping answers to JSON Schemas, on one thread.") { tokenizer, schemas, tokens, seed, json };
        command.SetAction((arguments, cancellationToken) =>
        {
            var benchmark = new MaskBenchmark(TextTokenizer.Load(arguments.GetRequiredValue(tokenizer)), arguments.GetValue(tokens), arguments.GetValue(seed));
            var report = benchmark.Run([.. DataFiles.Expand(arguments.GetRequiredValue(schemas)).SelectMany(path => SchemaReader.Read(path, BadRecords.Strict()))], cancellationToken);
            Console.WriteLine($"{report.Accepted:N0} of {report.Schemas:N0} schemas accepted; {report.Answers:N0} answers, {report.Left:N0} of them not in our form; {report.Tokens:N0} tokens of a vocabulary of {report.VocabSize:N0}");
            Console.WriteLine($"{"microseconds",-22} {"median",10} {"p90",10} {"p99",10} {"most",10}");
            foreach (var (what, times) in new[] { ("compile a schema", report.Compile), ("begin an answer", report.Begin), ("mask and take a token", report.Token) })
            {
                Console.WriteLine($"{what,-22} {times.P50,10:N1} {times.P90,10:N1} {times.P99,10:N1} {times.Largest,10:N1}");
            }
            if (arguments.GetValue(json) is { } path)
            {
                JsonFile.Write(path, report, JsonFile.SnakeCase);
            }
            return Task.CompletedTask;
        });
        return command;
    }
}
