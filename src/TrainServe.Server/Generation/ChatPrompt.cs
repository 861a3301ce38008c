using System.Security.Cryptography;
using System.Text;
using TrainServe.Core.Chat;
using TrainServe.Core.Sampling;
using TrainServe.Inference;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>From a checked request to what the engine is asked for: the rules that need the model.</summary>
internal static class ChatPrompt
{
    // Unicode normalization can shorten a text, but not by more than this.
    private const int NormalizationSlack = 4;

    /// <summary>One engine request for each choice.</summary>
    /// <exception cref="InvalidRequestException">The prompt is too long for the model, or a token id is not of its vocabulary.</exception>
    public static GenerationRequest[] Plan(ServedModel model, ChatCompletionRequest request, string id)
    {
        RequireVocabulary(model, request);
        int[] prompt = Encode(model, request.Messages!);
        int newTokens = NewTokens(model, request, prompt.Length);
        var sampling = Sampling(model, request);
        var stops = StopTokens(model, request);
        var plan = new GenerationRequest[request.N];
        for (int i = 0; i < plan.Length; i++)
        {
            ulong seed = request.Seed is { } given ? unchecked((ulong)given + (ulong)i) : BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
            plan[i] = new GenerationRequest
            {
                Id = $"{id}-{i}",
                PromptIds = prompt,
                MaxNewTokens = newTokens,
                Sampling = sampling with { Seed = seed },
                StopTokenIds = stops,
                IgnoreEos = request.IgnoreEos,
            };
        }
        return plan;
    }

    private static int[] Encode(ServedModel model, IReadOnlyList<ChatMessage> messages)
    {
        if (messages[^1].Role == ChatRole.Assistant)
        {
            throw new InvalidRequestException("The conversation ends with a message of the assistant, so there is nothing to answer.",
                $"messages[{messages.Count - 1}].role", "invalid_value");
        }
        long bytes = messages.Sum(message => (long)Encoding.UTF8.GetByteCount(message.Content));
        long surelyTooLong = (long)model.ContextLength * model.LongestTokenBytes * NormalizationSlack;
        if (bytes > surelyTooLong)
        {
            // Refused before the work of tokenizing it.
            throw TooLong(model, $"your messages are {bytes} bytes of text");
        }
        int[] ids = model.Template.EncodePrompt(messages);
        return ids.Length < model.ContextLength ? ids : throw TooLong(model, $"your messages resulted in {ids.Length} tokens");
    }

    private static InvalidRequestException TooLong(ServedModel model, string what) => new(
        $"This model's maximum context length is {model.ContextLength} tokens. However, {what}. Please reduce the length of the messages.",
        "messages", "context_length_exceeded");

    private static int NewTokens(ServedModel model, ChatCompletionRequest request, int promptTokens)
    {
        int room = model.ContextLength - promptTokens;
        int wanted = request.MaxCompletionTokens ?? request.MaxTokens ?? room;
        return wanted <= room ? wanted : throw new InvalidRequestException(
            $"This model's maximum context length is {model.ContextLength} tokens. However, you requested {(long)promptTokens + wanted} tokens "
            + $"({promptTokens} in the messages, {wanted} in the completion). Please reduce the length of the messages or completion.",
            "messages", "context_length_exceeded");
    }

    private static SamplingParameters Sampling(ServedModel model, ChatCompletionRequest request)
    {
        var defaults = model.DefaultSampling;
        return defaults with
        {
            Temperature = request.Temperature ?? defaults.Temperature,
            TopK = Math.Max(0, request.TopK ?? defaults.TopK),
            TopP = request.TopP ?? defaults.TopP,
            MinP = request.MinP ?? defaults.MinP,
            FrequencyPenalty = request.FrequencyPenalty ?? defaults.FrequencyPenalty,
            PresencePenalty = request.PresencePenalty ?? defaults.PresencePenalty,
            RepetitionPenalty = request.RepetitionPenalty ?? defaults.RepetitionPenalty,
            LogitBias = request.LogitBias,
            TopLogProbs = request.TopLogprobs ?? 0,
        };
    }

    private static IReadOnlyList<int> StopTokens(ServedModel model, ChatCompletionRequest request) =>
        request.IgnoreEos ? request.StopTokenIds : request.StopTokenIds.Count == 0 ? model.StopTokenIds : [.. model.StopTokenIds.Union(request.StopTokenIds)];

    private static void RequireVocabulary(ServedModel model, ChatCompletionRequest request)
    {
        int size = model.Package.Config.VocabSize;
        if (request.TopLogprobs > SamplingRanges.TopLogProbs(size).Most)
        {
            throw new InvalidRequestException(
                $"Invalid 'top_logprobs': integer above maximum value. This model's vocabulary has {size} tokens, but got {request.TopLogprobs} instead.",
                "top_logprobs", "integer_above_max_value");
        }
        foreach (var (ids, param) in new[] { (request.LogitBias?.Keys ?? [], "logit_bias"), (request.StopTokenIds, "stop_token_ids") })
        {
            foreach (int id in ids.Where(id => id >= size))
            {
                throw new InvalidRequestException($"Invalid '{param}': token id {id} is not in this model's vocabulary of {size} tokens.", param, "invalid_value");
            }
        }
    }
}
