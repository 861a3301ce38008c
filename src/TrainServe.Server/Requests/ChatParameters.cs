using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary><c>POST /v1/chat/completions</c>: OpenAI's 37 parameters in the order of its description, then the extensions.</summary>
internal static class ChatParameters
{
    private const int MostTopLogProbs = 20;

    public static ParameterTable Table { get; } = new("POST /v1/chat/completions",
    [
        Required<ChatCompletionRequest>("messages", "The conversation: text from developer, system, user and assistant.",
            (ref json, request) => request with { Messages = ChatMessageReader.ReadAll(ref json) }),
        ParameterRows.Model,
        ParameterRows.Stream,
        ParameterRows.StreamOptions,
        Temperature,
        TopP,
        N,
        Honoured<ChatCompletionRequest>("max_tokens", "Tokens to make at most; what the context leaves when absent.",
            (ref json, request) => request with { MaxTokens = json.ReadInt32(1, int.MaxValue) }),
        Honoured<ChatCompletionRequest>("max_completion_tokens", "The newer name of max_tokens.",
            (ref json, request) => request with { MaxCompletionTokens = json.ReadInt32(1, int.MaxValue) }),
        Stop,
        Seed,
        Honoured<GenerationFields>("logprobs", "Adds the log-probability of each token.",
            (ref json, request) => request with { Logprobs = json.ReadBoolean() }),
        Honoured<GenerationFields>("top_logprobs", "Adds the likeliest tokens at each position, up to 20.",
            (ref json, request) => request with { TopLogprobs = json.ReadInt32(0, MostTopLogProbs) }),
        LogitBias,
        FrequencyPenalty,
        PresencePenalty,
        Refused("response_format", "answers are not constrained to a format.", """{"type":"text"}"""),
        Refused("tools", "models here call no tools.", "[]"),
        Refused("tool_choice", "models here call no tools.", "\"none\"", "\"auto\""),
        WithoutEffect("parallel_tool_calls", "There are no tool calls that could be parallel.", (ref json) => json.ReadBoolean()),
        Refused("reasoning_effort", "models here do not reason apart from their answer.", "\"none\""),
        User,
        Refused("functions", "models here call no functions.", "[]"),
        Refused("function_call", "models here call no functions.", "\"none\"", "\"auto\""),
        WithoutEffect("store", "Nothing is stored.", (ref json) => json.ReadBoolean()),
        WithoutEffect("metadata", "For stored answers, and nothing is stored. Up to 16 texts of 512 with names of 64.", ReadMetadata),
        WithoutEffect("service_tier", "There is one tier, default.",
            (ref json) => json.ReadOneOf("auto", "default", "flex", "scale", "priority", "fast")),
        WithoutEffect("safety_identifier", "A name for the caller's own use.", (ref json) => json.ReadString(64)),
        WithoutEffect("prompt_cache_key", "A hint for a cache that changes no answer.", (ref json) => json.ReadString()),
        WithoutEffect("prompt_cache_options", "A hint for a cache that changes no answer.", SkipObject),
        WithoutEffect("prompt_cache_retention", "A hint for a cache that changes no answer.", (ref json) => json.ReadOneOf("in_memory", "24h")),
        Refused("modalities", "models here make text only.", """["text"]"""),
        Refused("audio", "models here make text only."),
        Refused("verbosity", "models here have no such setting.", "\"medium\""),
        WithoutEffect("prediction", "A hint about the answer that could only change its speed.", SkipObject),
        Refused("web_search_options", "this server searches nothing."),
        Refused("moderation", "this server does not moderate."),
        .. Extensions,
    ]);
}
