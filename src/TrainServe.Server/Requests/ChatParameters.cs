using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary><c>POST /v1/chat/completions</c>: OpenAI's 37 parameters in the order of its description, then the extensions.</summary>
internal static class ChatParameters
{
    private const int MostTopLogProbs = 20;

    public static ParameterTable Table { get; } = new("POST /v1/chat/completions",
    [
        Required<ChatCompletionRequest>("messages", "The conversation: text from developer, system, user and assistant, calls of tools and their results.",
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
        Honoured<GenerationFields>("response_format", "text, json_object (any JSON object) or json_schema: the answer is constrained while it is made and always fits. Schemas with keywords that cannot be held to are refused.",
            (ref json, request) => request with { Format = FormatReader.Read(ref json) }),
        Honoured<ConversationFields>("tools", "Functions that the model may call; their arguments are constrained to their schemas while they are made. Other kinds of tools are refused.",
            (ref json, request) => request with { Tools = ToolReader.ReadAll(ref json) }),
        Honoured<ConversationFields>("tool_choice", "none, auto, required, or the function to call.",
            (ref json, request) => request with { ToolChoice = ToolReader.ReadChoice(ref json) }),
        Honoured<ConversationFields>("parallel_tool_calls", "Whether one answer may have several calls; true when absent.",
            (ref json, request) => request with { ParallelToolCalls = json.ReadBoolean() }),
        Refused("reasoning_effort", "models here do not reason apart from their answer.", "\"none\""),
        User,
        Refused("functions", "it is superseded; use tools.", "[]"),
        Refused("function_call", "it is superseded; use tool_choice.", "\"none\"", "\"auto\""),
        Store,
        Honoured<ConversationFields>("metadata", "Kept with a stored answer. Up to 16 texts of 512 with names of 64.", (ref json, request) => request with { Metadata = ReadMetadata(ref json) }),
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
        .. ExtensionRows.All,
    ]);
}
