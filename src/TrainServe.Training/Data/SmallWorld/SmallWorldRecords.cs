using System.Text.Json.Serialization;

namespace TrainServe.Training.Data.SmallWorld;

// The lines of the files, in snake case.

/// <summary>A text to pretrain on.</summary>
public sealed record StoryRecord(string Text);

/// <summary>A message of a conversation, as OpenAI spells it.</summary>
public sealed record MessageRecord(string Role, string Content);

/// <summary>A conversation to fine-tune on.</summary>
/// <param name="Messages">User and assistant in turn; the story stands before the first question.</param>
/// <param name="Families">The family of each question.</param>
/// <param name="NeedsStory">For each question, whether the story is needed.</param>
public sealed record ConversationRecord(IReadOnlyList<MessageRecord> Messages, IReadOnlyList<string> Families, IReadOnlyList<bool> NeedsStory);

/// <summary>Two answers to one prompt.</summary>
/// <param name="Prompt">A conversation that ends with the user.</param>
/// <param name="Chosen">The better answer.</param>
/// <param name="Rejected">The other.</param>
/// <param name="Reason">What is wrong with the other: <c>wrong</c>, <c>rude</c>, <c>evasive</c>, <c>off_topic</c>, <c>harmful</c>, <c>refuses_harmless</c>, <c>guesses</c> or <c>asks_needlessly</c>.</param>
/// <param name="Family">Of the question.</param>
public sealed record PreferenceRecord(IReadOnlyList<MessageRecord> Prompt, IReadOnlyList<MessageRecord> Chosen, IReadOnlyList<MessageRecord> Rejected, string Reason, string Family);

/// <summary>A question to be tested with.</summary>
/// <param name="Family">Of the question.</param>
/// <param name="NeedsStory">Whether the story is needed.</param>
/// <param name="Facts">How many facts of the story have to be put together.</param>
/// <param name="Story">The story, or empty.</param>
/// <param name="Question">What is asked about it; without the story it is what the baseline <c>no_story</c> asks.</param>
/// <param name="Answers">Every answer that counts as right.</param>
/// <param name="Key">What the answer has to name; the most frequent key of a family is the baseline <c>majority</c>.</param>
/// <param name="LastMention">What the story named last of the kind that is asked for: the baseline <c>last_mention</c>.</param>
public sealed record EvaluationRecord(string Family, bool NeedsStory, int Facts, string Story, string Question, IReadOnlyList<string> Answers, string Key, string? LastMention = null)
{
    /// <summary>What the model is asked.</summary>
    [JsonIgnore]
    public string Prompt => Story.Length == 0 ? Question : $"{Story} {Question}";
}
