using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using TrainServe.Core.Data;
using TrainServe.Training.Data;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve data folds</c>: divides preference pairs for cross-validation, all pairs of a prompt on one side.</summary>
public static class DataFoldsCommand
{
    public static Command Create()
    {
        var input = new Option<string>("--input") { Description = "Preference pairs (.jsonl, .json, also .gz).", Required = true };
        var count = new Option<int>("--count") { Description = "Folds.", DefaultValueFactory = _ => 5 };
        var output = new Option<string>("--output") { Description = "A directory; fold-1 and so on below it get train.jsonl and test.jsonl.", Required = true };
        count.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 2 or > 100)
            {
                result.AddError("--count must be from 2 to 100.");
            }
        });
        var command = new Command("folds", "Divides preference pairs into folds by their prompts.") { input, count, output };
        command.SetAction(arguments => Write(arguments.GetRequiredValue(input), arguments.GetValue(count), arguments.GetRequiredValue(output)));
        return command;
    }

    private static void Write(string input, int count, string output)
    {
        var pairs = PreferenceReader.Read(input, BadRecords.Strict()).ToList();
        // In the order of a hash, dealt out one by one: as many prompts in each fold, whatever order the file has.
        string[] prompts = [.. pairs.Select(pair => pair.Prompt[0].Content).Distinct(StringComparer.Ordinal).OrderBy(PromptSplit.Place)];
        if (prompts.Length < count)
        {
            throw new InvalidDataException($"{input} has {prompts.Length} prompts, too few for {count} folds.");
        }
        var foldOf = prompts.Select((prompt, place) => (prompt, place)).ToDictionary(item => item.prompt, item => item.place % count, StringComparer.Ordinal);
        for (int fold = 0; fold < count; fold++)
        {
            string directory = Path.Combine(output, string.Create(CultureInfo.InvariantCulture, $"fold-{fold + 1}"));
            Directory.CreateDirectory(directory);
            using StreamWriter train = new(Path.Combine(directory, "train.jsonl")), test = new(Path.Combine(directory, "test.jsonl"));
            foreach (var pair in pairs)
            {
                (foldOf[pair.Prompt[0].Content] == fold ? test : train).WriteLine(Line(pair));
            }
        }
        Console.WriteLine($"{pairs.Count} pairs of {prompts.Length} prompts in {count} folds");
    }

    private static string Line(PreferencePair pair)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            WriteMessages(json, "prompt", pair.Prompt);
            WriteMessages(json, "chosen", [pair.Chosen]);
            WriteMessages(json, "rejected", [pair.Rejected]);
            if (pair.Margin != 0)
            {
                json.WriteNumber("margin", pair.Margin);
            }
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void WriteMessages(Utf8JsonWriter json, string name, IReadOnlyList<Core.Chat.ChatMessage> messages)
    {
        json.WriteStartArray(name);
        foreach (var message in messages)
        {
            json.WriteStartObject();
            json.WriteString("role", message.Role.ToString().ToLowerInvariant());
            json.WriteString("content", message.Content);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
