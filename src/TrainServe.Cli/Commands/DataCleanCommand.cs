using System.CommandLine;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data.Cleaning;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve data clean</c>: texts without repetitions and without what is no good text.</summary>
public static class DataCleanCommand
{
    public static Command Create()
    {
        var defaults = new CleaningOptions();
        var input = new Option<string[]>("--input") { Description = "Text: .txt, .jsonl or .json files, these packed as .gz, or directories of them.", Required = true, AllowMultipleArgumentsPerToken = true };
        var output = new Option<string>("--output") { Description = "What to make: a file that ends in .jsonl or .txt, perhaps with .gz, or a directory with a file for each input.", Required = true };
        var report = new Option<string?>("--report") { Description = "A JSON file that says how much left for what reason, with examples; the same for people lies beside it, ending in .txt." };
        var rules = new Option<string[]>("--rules") { Description = $"Which lists of quality rules apply: {string.Join(", ", QualityRules.Families)}, or none.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [.. QualityRules.Families] };
        var except = new Option<string[]>("--except") { Description = $"Rules that do not apply, of {string.Join(", ", QualityRules.All.Select(rule => rule.Name))}.", AllowMultipleArgumentsPerToken = true };
        var jaccard = new Option<double>("--jaccard") { Description = "Texts are near-duplicates from this Jaccard similarity of their runs of five words on.", DefaultValueFactory = _ => defaults.JaccardThreshold };
        var exactOnly = new Option<bool>("--exact-only") { Description = "Look for exact duplicates only." };
        var lenient = new Option<bool>("--lenient") { Description = "Leave out bad records instead of stopping." };
        var threads = new Option<int>("--threads") { Description = "Texts examined at once; what is kept does not depend on it.", DefaultValueFactory = _ => defaults.Threads };
        var command = new Command("clean", "Leaves out texts that repeat others, exactly or nearly, and texts that fail rules of quality.") { input, output, report, rules, except, jaccard, exactOnly, lenient, threads };
        command.SetAction(arguments =>
        {
            string[] families = arguments.GetValue(rules) ?? [];
            var cleaner = new DataCleaner(new CleaningOptions
            {
                Rules = QualityRules.Choose(families is ["none"] ? [] : families, arguments.GetValue(except) ?? []),
                JaccardThreshold = arguments.GetValue(jaccard),
                NearDuplicates = !arguments.GetValue(exactOnly),
                SkipBadRecords = arguments.GetValue(lenient),
                Threads = arguments.GetValue(threads),
            }, progress => Console.Error.WriteLine($"{progress.Documents:N0} texts, {progress.Bytes / 1e6:N1} MB, {progress.Kept:N0} kept"));
            using var signal = new InterruptSignal();
            var result = cleaner.Clean(arguments.GetRequiredValue(input), arguments.GetRequiredValue(output), signal.Requested);
            Console.Write(result.ToText());
            if (arguments.GetValue(report) is { } path)
            {
                result.Write(path);
                Console.WriteLine($"written: {path}, {Path.ChangeExtension(path, ".txt")}");
            }
            Console.WriteLine($"written: {string.Join(", ", result.Outputs)}");
            return ExitCodes.Done;
        });
        return command;
    }
}
