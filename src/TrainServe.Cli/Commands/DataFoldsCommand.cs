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
        var input = new Option<string[]>("--input") { Description = "Files of preference pairs (.jsonl, .json, also .gz), or directories of such files.", Required = true, AllowMultipleArgumentsPerToken = true };
        var count = new Option<int>("--count") { Description = "Folds.", DefaultValueFactory = _ => 5 };
        var output = new Option<string>("--output") { Description = "A directory; fold-1 and so on below it get train.jsonl and test.jsonl, or with several files the directories train and test with one file of each name.", Required = true };
        var skip = new Option<bool>("--skip-bad-records") { Description = "Count and leave out records that cannot be used, rather than stop." };
        count.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 2 or > 100)
            {
                result.AddError("--count must be from 2 to 100.");
            }
        });
        var command = new Command("folds", "Divides preference pairs into folds by their prompts.") { input, count, output, skip };
        command.SetAction(arguments => Write([.. DataFiles.Expand(arguments.GetRequiredValue(input))], arguments.GetValue(count), arguments.GetRequiredValue(output), arguments.GetValue(skip)));
        return command;
    }

    private static void Write(string[] inputs, int count, string output, bool skip)
    {
        var bad = skip ? BadRecords.Lenient() : BadRecords.Strict();
        List<(string File, IReadOnlyList<PreferencePair> Pairs)> sources = [.. inputs.Select(input => (NameOf(input), (IReadOnlyList<PreferencePair>)[.. PreferenceReader.Read(input, bad)]))];
        if (sources.GroupBy(source => source.File, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } same)
        {
            throw new InvalidDataException($"Two of the files are called {same.Key}; give them names that differ.");
        }
        // In the order of a hash, dealt out one by one: as many prompts in each fold, whatever order the files have, and a prompt of several files in the same fold.
        string[] prompts = [.. sources.SelectMany(source => source.Pairs).Select(Prompt).Distinct(StringComparer.Ordinal).OrderBy(PromptSplit.Place)];
        if (prompts.Length < count)
        {
            throw new InvalidDataException($"{string.Join(", ", inputs)} {(inputs.Length == 1 ? "has" : "have")} {prompts.Length} prompts, too few for {count} folds.");
        }
        var foldOf = prompts.Select((prompt, place) => (prompt, place)).ToDictionary(item => item.prompt, item => item.place % count, StringComparer.Ordinal);
        for (int fold = 0; fold < count; fold++)
        {
            string directory = Path.Combine(output, string.Create(CultureInfo.InvariantCulture, $"fold-{fold + 1}"));
            foreach (var (file, pairs) in sources)
            {
                WriteSide(sources.Count == 1 ? Path.Combine(directory, "train.jsonl") : Path.Combine(directory, "train", file), pairs.Where(pair => foldOf[Prompt(pair)] != fold));
                WriteSide(sources.Count == 1 ? Path.Combine(directory, "test.jsonl") : Path.Combine(directory, "test", file), pairs.Where(pair => foldOf[Prompt(pair)] == fold));
            }
        }
        Console.WriteLine($"{sources.Sum(source => source.Pairs.Count)} pairs of {prompts.Length} prompts in {count} folds{(bad.Skipped > 0 ? $"; {bad}" : "")}");
    }

    private static string Prompt(PreferencePair pair) => PromptSplit.Question(pair.Prompt);

    private static string NameOf(string path)
    {
        string name = Path.GetFileName(path);
        name = name.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? name[..^3] : name;
        return Path.ChangeExtension(name, ".jsonl");
    }

    private static void WriteSide(string path, IEnumerable<PreferencePair> pairs)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var writer = new StreamWriter(path);
        foreach (var pair in pairs)
        {
            writer.WriteLine(Line(pair));
        }
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
