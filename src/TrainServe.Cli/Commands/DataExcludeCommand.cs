using System.CommandLine;
using TrainServe.Core.Data;
using TrainServe.Training.Data;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve data exclude</c>: text to pretrain on, without what later stages are measured by.</summary>
public static class DataExcludeCommand
{
    public static Command Create()
    {
        var input = new Option<string[]>("--input") { Description = "Text, as for data pack.", Required = true, AllowMultipleArgumentsPerToken = true };
        var pairs = new Option<string[]>("--pairs") { Description = "Files of preference pairs.", Required = true, AllowMultipleArgumentsPerToken = true };
        var fraction = new Option<double>("--validation-fraction") { Description = "As in the recipe of the stage that holds pairs out: their prompts are the same ones.", Required = true };
        var output = new Option<string>("--output") { Description = "The text file to write.", Required = true };
        var command = new Command("exclude", "Leaves out the documents that begin with the prompt of a held-out pair.") { input, pairs, fraction, output };
        command.SetAction(arguments =>
        {
            double held = arguments.GetValue(fraction);
            string[] prompts = [.. PreferenceReader.ReadAll(arguments.GetRequiredValue(pairs), BadRecords.Strict()).Where(pair => PromptSplit.IsHeldOut(pair.Prompt, held))
                .Select(pair => pair.Prompt[0].Content).Distinct(StringComparer.Ordinal)];
            int kept = 0, left = 0;
            using var writer = new StreamWriter(arguments.GetRequiredValue(output));
            foreach (var document in DocumentReader.Read(arguments.GetRequiredValue(input), BadRecords.Strict()))
            {
                string text = document.Text.Trim();
                if (Array.Exists(prompts, prompt => text.StartsWith(prompt, StringComparison.Ordinal)))
                {
                    left++;
                    continue;
                }
                writer.Write($"{text}\n<|endoftext|>\n");
                kept++;
            }
            Console.WriteLine($"{kept} documents are kept, {left} begin with one of {prompts.Length} held-out prompts");
        });
        return command;
    }
}
