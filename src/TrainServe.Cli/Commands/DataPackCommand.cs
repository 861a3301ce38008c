using System.CommandLine;
using TrainServe.Core.Tokenization;
using TrainServe.Training.Data;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve data pack</c>: text becomes files of tokens.</summary>
public static class DataPackCommand
{
    public static Command Create()
    {
        var input = new Option<string[]>("--input") { Description = "Text: .txt files with documents between lines of <|endoftext|>, .jsonl files with a field \"text\", these packed as .gz, or directories of them. PATH=WEIGHT takes its texts so often: 2 twice, 0.5 a half of them.", Required = true, AllowMultipleArgumentsPerToken = true };
        var tokenizer = new Option<string>("--tokenizer") { Description = "A directory with tokenizer.json: of a tokenizer, or of a model.", Required = true };
        var output = new Option<string>("--output") { Description = "The directory to make.", Required = true };
        var rule = new Option<ValidationRule>("--validation-rule") { Description = "documents keeps whole documents for validation, tail the end of the text; auto is documents from 100 documents on.", DefaultValueFactory = _ => ValidationRule.Auto };
        var fraction = new Option<double>("--validation-fraction") { Description = "The part that is kept for validation.", DefaultValueFactory = _ => new PackOptions().ValidationFraction };
        var lenient = new Option<bool>("--lenient") { Description = "Leave out bad records of .jsonl files instead of stopping." };
        var command = new Command("pack", "Encodes text into files of tokens that training reads by memory map.") { input, tokenizer, output, rule, fraction, lenient };
        command.SetAction((arguments, cancellationToken) =>
        {
            string directory = arguments.GetRequiredValue(output);
            var packer = new DataPacker(TextTokenizer.Load(arguments.GetRequiredValue(tokenizer)), new PackOptions
            {
                ValidationRule = arguments.GetValue(rule),
                ValidationFraction = arguments.GetValue(fraction),
                SkipBadRecords = arguments.GetValue(lenient),
            }, tokens => Console.Error.WriteLine($"{tokens:N0} tokens"));
            var manifest = packer.Pack([.. arguments.GetRequiredValue(input).Select(PackSource.Parse)], arguments.GetRequiredValue(tokenizer), directory, cancellationToken);
            Write("train", manifest.Train);
            Write("validation", manifest.Validation);
            if (manifest.SkippedRecords > 0)
            {
                Console.WriteLine($"left out: {manifest.SkippedRecords:N0} records");
            }
            Console.WriteLine($"written: {directory}, {manifest.Train.Shards.Count + manifest.Validation.Shards.Count} files of tokens, divided by {manifest.ValidationRule.ToString().ToLowerInvariant()}");
            return Task.FromResult(ExitCodes.Done);
        });
        return command;
    }

    private static void Write(string name, DataSplit split) => Console.WriteLine(
        split.Tokens == 0 ? $"{name}: nothing" : $"{name}: {split.Tokens:N0} tokens, {split.Documents:N0} documents, {(double)split.TextBytes / split.Tokens:N2} bytes a token");
}
