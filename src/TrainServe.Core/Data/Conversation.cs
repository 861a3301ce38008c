using TrainServe.Core.Chat;

namespace TrainServe.Core.Data;

/// <summary>A conversation to fine-tune on. It keeps <see cref="ConversationRules"/>.</summary>
public sealed record Conversation(IReadOnlyList<ChatMessage> Messages, RecordOrigin Origin);

/// <summary>Two answers to one prompt, of which people liked the first better.</summary>
/// <param name="Prompt">The conversation up to the answer.</param>
/// <param name="Chosen">The better answer, a turn of the assistant.</param>
/// <param name="Rejected">The other answer, a turn of the assistant that differs.</param>
/// <param name="Origin">Where it came from.</param>
public sealed record PreferencePair(IReadOnlyList<ChatMessage> Prompt, ChatMessage Chosen, ChatMessage Rejected, RecordOrigin Origin);
