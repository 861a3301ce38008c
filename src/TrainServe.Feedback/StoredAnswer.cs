using System.Security.Cryptography;
using System.Text;
using TrainServe.Core.Chat;

namespace TrainServe.Feedback;

/// <summary>An answer that was kept because its caller asked for it: what was asked, what was answered, by which model and how it was sampled.</summary>
public sealed class StoredAnswer
{
    /// <summary>As on the wire, <c>chatcmpl-...</c>.</summary>
    public required string Id { get; init; }

    /// <summary>The name of the API key that asked; empty where the server has no keys.</summary>
    public required string Key { get; init; }

    public required string Model { get; init; }

    /// <summary>SHA-256 of the model's manifest.</summary>
    public required string ModelVersion { get; init; }

    public required DateTimeOffset Created { get; init; }

    /// <summary>The conversation up to the answer, as the model read it: what is told of tools stands in it.</summary>
    public required IReadOnlyList<ChatMessage> Prompt
    {
        get;
        init => (field, PromptHash) = (value, HashOf(value));
    }

    /// <summary>SHA-256 of the prompt: answers to one prompt can be compared.</summary>
    public string PromptHash { get; private set; } = "";

    /// <summary>The answers, in the order of their index.</summary>
    public required IReadOnlyList<StoredChoice> Choices { get; init; }

    public required AnswerSampling Sampling { get; init; }

    /// <summary>What the caller wrote to it.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    private static string HashOf(IReadOnlyList<ChatMessage> prompt) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(MessageJson.Write(prompt))));
}

/// <summary>One of the answers to a request.</summary>
/// <param name="Message">A turn of the assistant.</param>
/// <param name="FinishReason">stop, length or tool_calls.</param>
public sealed record StoredChoice(ChatMessage Message, string FinishReason);

/// <summary>How an answer was sampled.</summary>
public sealed record AnswerSampling
{
    public float Temperature { get; init; }
    public float TopP { get; init; }
    public int TopK { get; init; }
    public float MinP { get; init; }
    public float TypicalP { get; init; }
    public float FrequencyPenalty { get; init; }
    public float PresencePenalty { get; init; }
    public float RepetitionPenalty { get; init; }

    /// <summary>Tokens of the answer at most.</summary>
    public int MaxTokens { get; init; }

    /// <summary>As the caller gave it; null where none was given.</summary>
    public long? Seed { get; init; }
}
