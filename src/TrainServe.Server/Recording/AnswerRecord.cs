using TrainServe.Core.Chat;
using TrainServe.Feedback;
using TrainServe.Server.Generation;

namespace TrainServe.Server.Recording;

/// <summary>An answer that is to be kept, while it is made.</summary>
/// <param name="answer">Everything that is known before the first token; it has no choices yet.</param>
/// <param name="choices">How many choices are made.</param>
/// <param name="complete">Takes the record when all choices have ended.</param>
internal sealed class AnswerRecord(StoredAnswer answer, int choices, Action<AnswerRecord> complete)
{
    private readonly ChoiceGatherer[] _choices = [.. Enumerable.Range(0, choices).Select(_ => new ChoiceGatherer())];
    private int _length;

    public string Id => answer.Id;

    public string Model => answer.Model;

    /// <summary>Characters, about.</summary>
    public int Length => _length + answer.Prompt.Sum(message => message.Content.Length);

    /// <summary>Each choice is told of by one thread at a time.</summary>
    public void Take(in ChoiceDelta delta)
    {
        _choices[delta.Choice].Take(delta with { LogProbs = [] });
        Interlocked.Add(ref _length, delta.Text.Length + delta.ToolCalls.Sum(call => call.Arguments.Length));
    }

    public void Complete() => complete(this);

    /// <summary>The answer as it is kept.</summary>
    public StoredAnswer Whole() => new()
    {
        Id = answer.Id,
        Key = answer.Key,
        Model = answer.Model,
        ModelVersion = answer.ModelVersion,
        Created = answer.Created,
        Prompt = answer.Prompt,
        Sampling = answer.Sampling,
        Metadata = answer.Metadata,
        Choices = [.. _choices.Select(choice => Choice(choice.Whole()))],
    };

    private static StoredChoice Choice(WholeChoice whole) => new(ChatMessage.Assistant(whole.Text) with
    {
        ToolCalls = whole.ToolCalls.Count == 0 ? null : [.. whole.ToolCalls.Select(call => new ToolCall(call.Id, call.Name, call.Arguments))],
    }, whole.FinishReason);
}
