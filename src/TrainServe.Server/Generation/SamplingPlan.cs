using System.Security.Cryptography;
using TrainServe.Core.Sampling;
using TrainServe.Inference;
using TrainServe.Inference.Constraints;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>From checked fields and encoded prompts to what the engine is asked for: the rules that need the model.</summary>
internal static class SamplingPlan
{
    /// <summary>One engine request for each choice: those of the first prompt first.</summary>
    /// <param name="model">Who answers.</param>
    /// <param name="fields">What the caller wants.</param>
    /// <param name="prompts">Token ids.</param>
    /// <param name="prompt">How the prompts are called on this route: messages, prompt, input.</param>
    /// <param name="id">The answer's.</param>
    /// <exception cref="InvalidRequestException">A prompt is too long for the model, or a token id is not of its vocabulary.</exception>
    public static GenerationRequest[] Make(ServedModel model, GenerationFields fields, IReadOnlyList<int[]> prompts, string prompt, string id)
    {
        RequireVocabulary(model, fields);
        var grammar = AnswerGrammar.Make(model, fields);
        if (grammar is not null && (fields.MinTokens > 0 || fields.AllowedTokenIds is not null))
        {
            string name = fields.MinTokens > 0 ? "min_tokens" : "allowed_token_ids";
            throw new InvalidRequestException($"'{name}' cannot be combined with a form of the answer or with tools, which have their own tokens and end.", name, "invalid_parameter_combination");
        }
        var sampling = Sampling(model, fields);
        var stops = StopTokens(model, fields);
        var plan = new GenerationRequest[prompts.Count * fields.N];
        for (int i = 0; i < plan.Length; i++)
        {
            int[] ids = prompts[i / fields.N];
            ulong seed = fields.Seed is { } given ? unchecked((ulong)given + (ulong)(i % fields.N)) : BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
            int newTokens = NewTokens(model, fields, ids.Length, prompt);
            plan[i] = new GenerationRequest
            {
                Id = $"{id}-{i}",
                PromptIds = ids,
                MaxNewTokens = newTokens,
                Sampling = sampling with { Seed = seed },
                StopTokenIds = stops,
                IgnoreEos = fields.IgnoreEos,
                Priority = -fields.Priority,
                Constraint = grammar is not null ? new GrammarConstraint(grammar, model.Trie, stops, newTokens)
                    : fields.MinTokens > 0 || fields.AllowedTokenIds is not null ? new TokenRules(stops, fields.MinTokens, fields.AllowedTokenIds)
                    : null,
            };
        }
        return plan;
    }

    public static InvalidRequestException TooLong(ServedModel model, string prompt, string what) => new(
        $"This model's maximum context length is {model.ContextLength} tokens. However, {what}. Please reduce the length of the {prompt}.",
        prompt, "context_length_exceeded");

    private static int NewTokens(ServedModel model, GenerationFields fields, int promptTokens, string prompt)
    {
        int room = model.ContextLength - promptTokens;
        if (room < 1)
        {
            throw TooLong(model, prompt, $"your {prompt} resulted in {promptTokens} tokens");
        }
        int wanted = fields.MaxTokens ?? room;
        return wanted <= room ? wanted : throw new InvalidRequestException(
            $"This model's maximum context length is {model.ContextLength} tokens. However, you requested {(long)promptTokens + wanted} tokens "
            + $"({promptTokens} in the {prompt}, {wanted} in the completion). Please reduce the length of the {prompt} or completion.",
            prompt, "context_length_exceeded");
    }

    private static SamplingParameters Sampling(ServedModel model, GenerationFields fields)
    {
        var defaults = model.DefaultSampling;
        return defaults with
        {
            Temperature = fields.Temperature ?? defaults.Temperature,
            TopK = Math.Max(0, fields.TopK ?? defaults.TopK),
            TopP = fields.TopP ?? defaults.TopP,
            MinP = fields.MinP ?? defaults.MinP,
            TypicalP = fields.TypicalP ?? defaults.TypicalP,
            FrequencyPenalty = fields.FrequencyPenalty ?? defaults.FrequencyPenalty,
            PresencePenalty = fields.PresencePenalty ?? defaults.PresencePenalty,
            RepetitionPenalty = fields.RepetitionPenalty ?? defaults.RepetitionPenalty,
            LogitBias = fields.LogitBias,
            TopLogProbs = fields.TopLogprobs ?? 0,
        };
    }

    private static IReadOnlyList<int> StopTokens(ServedModel model, GenerationFields fields) =>
        fields.IgnoreEos ? fields.StopTokenIds : fields.StopTokenIds.Count == 0 ? model.StopTokenIds : [.. model.StopTokenIds.Union(fields.StopTokenIds)];

    private static void RequireVocabulary(ServedModel model, GenerationFields fields)
    {
        int size = model.Package.Config.VocabSize;
        if (fields.TopLogprobs > SamplingRanges.TopLogProbs(size).Most)
        {
            throw new InvalidRequestException(
                $"Invalid 'top_logprobs': integer above maximum value. This model's vocabulary has {size} tokens, but got {fields.TopLogprobs} instead.",
                "top_logprobs", "integer_above_max_value");
        }
        model.RequireVocabulary(fields.LogitBias?.Keys ?? [], "logit_bias");
        model.RequireVocabulary(fields.StopTokenIds, "stop_token_ids");
        model.RequireVocabulary(fields.AllowedTokenIds ?? [], "allowed_token_ids");
        if (fields.AllowedTokenIds is [])
        {
            throw new InvalidRequestException("Invalid 'allowed_token_ids': empty array. Expected an array with minimum length 1, but got an empty array instead.", "allowed_token_ids", "empty_array");
        }
    }
}
