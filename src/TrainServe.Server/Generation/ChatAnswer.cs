using System.Text;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>Who answers what and when: the fields that all chunks of an answer share.</summary>
internal sealed record AnswerIdentity(string Id, long Created, string Model, string Fingerprint)
{
    public static AnswerIdentity New(ServedModel model, TimeProvider time) =>
        new($"chatcmpl-{Guid.NewGuid():N}", time.GetUtcNow().ToUnixTimeSeconds(), model.Id, model.Fingerprint);
}

/// <summary>Gathers a run into one answer.</summary>
internal static class ChatAnswer
{
    public static async Task<ChatCompletion> CollectAsync(ChatRun run, AnswerIdentity answer, ChatCompletionRequest request, CancellationToken cancellationToken)
    {
        int choices = request.N;
        var texts = new StringBuilder[choices];
        var entries = new List<TokenLogProbEntry>[choices];
        string[] finishReasons = new string[choices];
        for (int i = 0; i < choices; i++)
        {
            (texts[i], entries[i]) = (new StringBuilder(), []);
        }
        await foreach (var delta in run.Deltas.ReadAllAsync(cancellationToken))
        {
            texts[delta.Choice].Append(delta.Text);
            entries[delta.Choice].AddRange(delta.LogProbs);
            finishReasons[delta.Choice] = delta.FinishReason ?? finishReasons[delta.Choice];
        }
        return new ChatCompletion(
            answer.Id, answer.Created, answer.Model,
            [.. texts.Select((text, i) => new ChatChoice(i, new AssistantMessage(text.ToString()), request.Logprobs ? new ChoiceLogProbs(entries[i]) : null, finishReasons[i]))],
            new CompletionUsage(run.PromptTokens, run.CompletionTokens),
            answer.Fingerprint);
    }
}
