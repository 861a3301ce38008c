using TrainServe.Core.Chat;

namespace TrainServe.Feedback.Tests;

/// <summary>Makes answers and feedback to try the store with.</summary>
internal static class Answers
{
    public static readonly DateTimeOffset Start = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public static StoredAnswer Make(string id, string prompt, params string[] texts) => new()
    {
        Id = id,
        Key = "ann",
        Model = "tiny",
        ModelVersion = "v1",
        Created = Start,
        Prompt = [ChatMessage.System("Be brief."), ChatMessage.User(prompt)],
        Choices = [.. texts.Select(text => new StoredChoice(ChatMessage.Assistant(text), "stop"))],
        Sampling = new AnswerSampling { Temperature = 0.5f, Seed = 7 },
        Metadata = new Dictionary<string, string> { ["page"] = "home" },
    };

    public static StoredAnswer With(this StoredAnswer answer, string? key = null, int minute = 0, string? model = null, string finishReason = "stop") => new()
    {
        Id = answer.Id,
        Key = key ?? answer.Key,
        Model = model ?? answer.Model,
        ModelVersion = answer.ModelVersion,
        Created = Start.AddMinutes(minute),
        Prompt = answer.Prompt,
        Choices = [.. answer.Choices.Select(choice => choice with { FinishReason = finishReason })],
        Sampling = answer.Sampling,
        Metadata = answer.Metadata,
    };

    public static FeedbackEntry Say(string answer, int choice = 0, Rating? rating = null, int? score = null, string? edit = null, (string Id, int Choice)? over = null, string? comment = null, string key = "ann") => new()
    {
        Id = FeedbackEntry.IdOf(key, answer, choice, over?.Id, over?.Choice),
        AnswerId = answer,
        Choice = choice,
        Key = key,
        Created = Start,
        Rating = rating,
        Score = score,
        Edit = edit,
        PreferredOverId = over?.Id,
        PreferredOverChoice = over?.Choice,
        Comment = comment,
    };

    /// <summary>Everything that a store keeps, as text to compare.</summary>
    public static string Show(StoredAnswer? answer) => answer is null ? "" : string.Join(' ', answer.Id, answer.Key, answer.Model, answer.ModelVersion, answer.Created.ToUnixTimeMilliseconds(), answer.PromptHash,
        MessageJson.Write(answer.Prompt), MessageJson.WriteChoices(answer.Choices), answer.Sampling, string.Join(',', answer.Metadata));

    /// <inheritdoc cref="Show(StoredAnswer?)"/>
    public static string Show(FeedbackEntry? entry) => entry is null ? "" : string.Join(' ', entry.Id, entry.AnswerId, entry.Choice, entry.Key, entry.Created.ToUnixTimeMilliseconds(), entry.Rating, entry.Score, entry.Edit,
        entry.PreferredOverId, entry.PreferredOverChoice, entry.Comment, string.Join(',', entry.Labels));
}
