using TrainServe.Core.Chat;

namespace TrainServe.Feedback.Training;

/// <summary>Makes of what people said what the trainer reads: pairs of a better and a worse answer to one prompt, and conversations to imitate.</summary>
/// <remarks>
/// Pairs come from edits (the edit is better than what it corrects), from choices between two answers, and, among the answers to one prompt, from scores and from thumbs.
/// Texts that speak for both sides are left out rather than averaged away, and the report says how many. The result depends on the store's content alone.
/// </remarks>
public static class FeedbackExport
{
    private const int BestScore = 5;

    public static ExportedFeedback Make(IReadOnlyList<JudgedAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var left = new Dictionary<string, int>(StringComparer.Ordinal);
        var byId = answers.ToDictionary(item => item.Answer.Id, StringComparer.Ordinal);
        var preferences = new List<ExportedPreference>();
        var conversations = new List<ExportedConversation>();
        foreach (var samePrompt in answers.GroupBy(item => item.Answer.PromptHash, StringComparer.Ordinal))
        {
            var prompt = samePrompt.First().Answer.Prompt;
            var texts = JudgedText.Gather(samePrompt, left);
            var claims = Claims(samePrompt, byId, texts, left);
            preferences.AddRange(Pairs(prompt, claims, left));
            conversations.AddRange(Imitable(prompt, texts, left));
        }
        return new ExportedFeedback(preferences, conversations, new ExportReport
        {
            Answers = answers.Count(item => item.Entries.Count > 0),
            Entries = answers.Sum(item => item.Entries.Count),
            Preferences = Count(preferences.Select(pair => pair.Reason)),
            Conversations = Count(conversations.Select(item => item.Reason)),
            LeftOut = left.Where(pair => pair.Value > 0).OrderBy(pair => pair.Key, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal),
        });
    }

    /// <summary>Who is said to be better than whom, and by what; the strongest reasons first.</summary>
    private static List<Claim> Claims(IEnumerable<JudgedAnswer> answers, Dictionary<string, JudgedAnswer> byId, IReadOnlyList<JudgedText> texts, Dictionary<string, int> left)
    {
        var edits = new List<Claim>();
        var choices = new List<Claim>();
        foreach (var (answer, entries) in answers)
        {
            foreach (var entry in entries)
            {
                var choice = answer.Choices[entry.Choice];
                if (entry.Edit is { } edit)
                {
                    edits.Add(new Claim(new StoredChoice(ChatMessage.Assistant(edit), JudgedText.Stop), choice, ExportReason.Edit, null));
                }
                if (entry.PreferredOverId is not { } otherId)
                {
                    continue;
                }
                if (!byId.TryGetValue(otherId, out var other))
                {
                    left.Add("the answer compared with is of another model or time");
                    continue;
                }
                choices.Add(new Claim(choice, other.Answer.Choices[entry.PreferredOverChoice!.Value], ExportReason.Preference, null));
            }
        }
        var scores = from better in texts from worse in texts where better.Score > worse.Score
                     select new Claim(better.Choice, worse.Choice, ExportReason.Score, better.Score - worse.Score);
        var ratings = from better in texts.Where(text => text.IsUp) from worse in texts.Where(text => text.IsDown)
                      select new Claim(better.Choice, worse.Choice, ExportReason.Rating, null);
        return [.. edits, .. choices, .. scores, .. ratings];
    }

    private static List<ExportedPreference> Pairs(IReadOnlyList<ChatMessage> prompt, List<Claim> claims, Dictionary<string, int> left)
    {
        var pairs = new List<ExportedPreference>();
        var said = claims.Select(claim => claim.Key).ToHashSet();
        foreach (var same in claims.GroupBy(claim => claim.Key))
        {
            var claim = same.First();
            var (better, worse) = same.Key;
            string? fault = better == worse ? "both texts are equal"
                : said.Contains((worse, better)) ? "contradictory: each is said to be better than the other"
                : claim.Better.FinishReason == JudgedText.Length ? JudgedText.CutOff
                : JudgedText.FaultOf(prompt, claim.Better.Message) ?? JudgedText.FaultOf(prompt, claim.Worse.Message);
            if (fault is not null)
            {
                left.Add(fault);
                continue;
            }
            pairs.Add(new ExportedPreference(prompt, claim.Better.Message, claim.Worse.Message, claim.Reason, same.Max(other => other.Margin)));
        }
        return pairs;
    }

    private static IEnumerable<ExportedConversation> Imitable(IReadOnlyList<ChatMessage> prompt, IReadOnlyList<JudgedText> texts, Dictionary<string, int> left)
    {
        var taken = new HashSet<string>(StringComparer.Ordinal);
        foreach (var text in texts)
        {
            foreach (string edit in text.Edits)
            {
                var message = ChatMessage.Assistant(edit);
                if (taken.Add(JudgedText.KeyOf(message)) && Fits(message, finishReason: JudgedText.Stop))
                {
                    yield return new ExportedConversation([.. prompt, message], ExportReason.Edit);
                }
            }
            bool isBest = text.Score >= BestScore;
            if (text.Edits.Count > 0 || (!text.IsUp && !isBest))
            {
                continue;
            }
            if (text.IsDown || (text.Score is { } score && score <= 2))
            {
                left.Add("contradictory: praised and blamed");
            }
            else if (Fits(text.Choice.Message, text.Choice.FinishReason) && taken.Add(text.Key))
            {
                yield return new ExportedConversation([.. prompt, text.Choice.Message], text.IsUp ? ExportReason.Rating : ExportReason.Score);
            }
        }

        bool Fits(ChatMessage message, string finishReason)
        {
            string? fault = finishReason == JudgedText.Length ? JudgedText.CutOff : JudgedText.FaultOf(prompt, message);
            if (fault is not null)
            {
                left.Add(fault);
            }
            return fault is null;
        }
    }

    internal static void Add(this Dictionary<string, int> left, string reason) => left[reason] = left.GetValueOrDefault(reason) + 1;

    private static Dictionary<string, int> Count(IEnumerable<ExportReason> reasons) =>
        reasons.GroupBy(reason => reason).OrderBy(group => group.Key).ToDictionary(group => group.Key.ToString().ToLowerInvariant(), group => group.Count(), StringComparer.Ordinal);

    private sealed record Claim(StoredChoice Better, StoredChoice Worse, ExportReason Reason, double? Margin)
    {
        public (string Better, string Worse) Key => (JudgedText.KeyOf(Better.Message), JudgedText.KeyOf(Worse.Message));
    }
}
