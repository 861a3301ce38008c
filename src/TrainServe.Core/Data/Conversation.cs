using TrainServe.Core.Chat;

namespace TrainServe.Core.Data;

/// <summary>A conversation to fine-tune on. It keeps <see cref="ConversationRules"/>.</summary>
public sealed record Conversation(IReadOnlyList<ChatMessage> Messages, RecordOrigin Origin);

/// <summary>Two answers to one prompt, of which people liked the first better.</summary>
/// <param name="Prompt">The conversation up to the answer.</param>
/// <param name="Chosen">The better answer, a turn of the assistant.</param>
/// <param name="Rejected">The other answer, a turn of the assistant that differs.</param>
/// <param name="Origin">Where it came from.</param>
public sealed record PreferencePair(IReadOnlyList<ChatMessage> Prompt, ChatMessage Chosen, ChatMessage Rejected, RecordOrigin Origin)
{
    /// <summary>By how much the better answer should score above the other; 0 where the record has no number <c>margin</c>.</summary>
    public double Margin { get; init; }
}

/// <summary>A conversation to be answered, and what the answer should be, if that is known.</summary>
/// <param name="Messages">Up to the answer.</param>
/// <param name="Answer">The reference; null where the record has none.</param>
/// <param name="Origin">Where it came from.</param>
public sealed record Prompt(IReadOnlyList<ChatMessage> Messages, string? Answer, RecordOrigin Origin);
