using System.CommandLine;
using System.Globalization;
using TrainServe.Feedback;
using TrainServe.Feedback.Training;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve data feedback</c>: what people said of served answers, as data for the next run.</summary>
public static class DataFeedbackCommand
{
    public static Command Create()
    {
        var store = new Option<string>("--store") { Description = "Where the server keeps feedback, as its option Feedback names it: sqlite:PATH or postgres:CONNECTION STRING.", Required = true };
        var output = new Option<string>("--output")
        {
            Description = $"A directory; it gets {ExportedFeedback.PreferencesFile} for reward and dpo, {ExportedFeedback.ConversationsFile} for sft, and {ExportedFeedback.ReportFile}.", Required = true,
        };
        var since = new Option<string?>("--since") { Description = "Only answers that were made at this time or later, as 2026-01-31 or 2026-01-31T12:00:00Z (UTC)." };
        var model = new Option<string?>("--model") { Description = "Only answers of the model of this name." };
        var command = new Command("feedback", "Makes training data of what people said of served answers: preference pairs of edits, choices, scores and thumbs, and conversations worth imitating.") { store, output, since, model };
        command.SetAction((arguments, cancellationToken) =>
            WriteAsync(arguments.GetRequiredValue(store), arguments.GetRequiredValue(output), TimeOf(arguments.GetValue(since)), arguments.GetValue(model), cancellationToken));
        return command;
    }

    private static async Task<int> WriteAsync(string where, string output, DateTimeOffset? since, string? model, CancellationToken cancellationToken)
    {
        var location = FeedbackLocation.TryParse(where, out string? fault) ?? throw new ArgumentException($"--store is wrong: {fault}.", nameof(where));
        var store = new FeedbackStore(location);
        await store.RequireAsync(cancellationToken);
        var exported = FeedbackExport.Make(await store.ReadAsync(since, model, cancellationToken));
        var written = exported.Write(output);
        Console.Write(exported.Report.ToText());
        Console.WriteLine($"written: {string.Join(", ", written)}");
        return exported.Preferences.Count + exported.Conversations.Count > 0 ? ExitCodes.Done
            : throw new InvalidDataException($"{location.Shown} holds no feedback to learn from{(since is null && model is null ? "" : " among the answers that were asked for")}.");
    }

    private static DateTimeOffset? TimeOf(string? text) => text is null ? null
        : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time
        : throw new ArgumentException($"--since is '{text}'; it must be a date or a time, as 2026-01-31 or 2026-01-31T12:00:00Z.", nameof(text));
}
