using TrainServe.Core.Chat;
using TrainServe.Core.Data;

namespace TrainServe.Training.Alignment;

/// <summary>A preference pair as tokens. Both answers have the same prompt, tokenized once.</summary>
/// <param name="Chosen">The better answer.</param>
/// <param name="Rejected">The other.</param>
/// <param name="Margin">By how much the better one should score above the other.</param>
/// <param name="Origin">Where it came from.</param>
public sealed record EncodedPair(Answer Chosen, Answer Rejected, double Margin, RecordOrigin Origin)
{
    /// <summary>Tokens of the longer side.</summary>
    public int Columns => Math.Max(Chosen.Ids.Length, Rejected.Ids.Length);
}

/// <summary>Makes tokens of prompts and answers by the chat's template.</summary>
public sealed class PairEncoder(ChatTemplate template)
{
    public EncodedPair Encode(PreferencePair pair)
    {
        int[] prompt = template.EncodePrompt(pair.Prompt);
        return new EncodedPair(Answer(pair.Prompt, prompt, pair.Chosen), Answer(pair.Prompt, prompt, pair.Rejected), pair.Margin, pair.Origin);
    }

    // The template promises that a conversation's beginning is encoded the same in the whole; what follows it is the answer.
    private Answer Answer(IReadOnlyList<ChatMessage> messages, int[] prompt, ChatMessage answer)
    {
        int[] whole = template.Encode([.. messages, answer]).Ids;
        return whole.AsSpan().StartsWith(prompt) ? new Answer(whole, prompt.Length) : throw new InvalidOperationException($"The template {template.Name} encodes a prompt differently before an answer.");
    }
}
