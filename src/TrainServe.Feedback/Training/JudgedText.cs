using TrainServe.Core.Chat;

namespace TrainServe.Feedback.Training;

/// <summary>A text that answers a prompt, however often it was given, with all that was said of it.</summary>
/// <param name="Key">Equal for equal texts.</param>
/// <param name="Choice">The text as it was given first.</param>
internal sealed record JudgedText(string Key, StoredChoice Choice)
{
    public const string Stop = "stop", Length = "length", CutOff = "the better answer was cut off by the limit of tokens";
    private readonly List<int> _scores = [];

    /// <summary>Liked by somebody, disliked by nobody.</summary>
    public bool IsUp { get; private set; }

    public bool IsDown { get; private set; }

    /// <summary>The mean of the scores; null without any.</summary>
    public double? Score => _scores.Count == 0 ? null : _scores.Average();

    /// <summary>What it should have been, each text once.</summary>
    public List<string> Edits { get; } = [];

    /// <summary>The texts of all choices of some answers to one prompt, in the order in which they came.</summary>
    /// <param name="answers">Answers to one prompt.</param>
    /// <param name="left">Counts what cannot be used.</param>
    public static IReadOnlyList<JudgedText> Gather(IEnumerable<JudgedAnswer> answers, Dictionary<string, int> left)
    {
        var texts = new OrderedDictionary<string, JudgedText>(StringComparer.Ordinal);
        foreach (var (answer, entries) in answers)
        {
            foreach (var entry in entries)
            {
                var choice = answer.Choices[entry.Choice];
                string key = KeyOf(choice.Message);
                if (!texts.TryGetValue(key, out var text))
                {
                    texts.Add(key, text = new JudgedText(key, choice));
                }
                text.Take(entry);
            }
        }
        foreach (var text in texts.Values.Where(text => text.IsUp && text.IsDown))
        {
            left.Add("contradictory: up and down for one text");
            text.IsUp = text.IsDown = false;
        }
        return [.. texts.Values];
    }

    /// <summary>Equal for texts that are equal but for white space at their ends.</summary>
    public static string KeyOf(ChatMessage message) => string.Join('\n', [message.Content.Trim(), .. (message.ToolCalls ?? []).Select(call => $"{call.Name} {call.Arguments}")]);

    /// <summary>Why nothing can be learned from an answer; null where it can.</summary>
    public static string? FaultOf(IReadOnlyList<ChatMessage> prompt, ChatMessage answer) =>
        ConversationRules.FaultForTraining([.. prompt, answer]) is { } fault ? $"the conversation {fault}" : null;

    private void Take(FeedbackEntry entry)
    {
        IsUp |= entry.Rating == Rating.Up;
        IsDown |= entry.Rating == Rating.Down;
        if (entry.Score is { } score)
        {
            _scores.Add(score);
        }
        if (entry.Edit is { } edit && !Edits.Contains(edit, StringComparer.Ordinal))
        {
            Edits.Add(edit);
        }
    }
}
