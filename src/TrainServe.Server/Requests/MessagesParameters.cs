using TrainServe.Core.Sampling;
using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary><c>POST /v1/messages</c> and its count of tokens: Anthropic's parameters.</summary>
internal static class MessagesParameters
{
    private const int MostStops = 16;

    // Anthropic's own range is narrower than that of the sampler.
    private static readonly NumberRange AnthropicTemperature = new(0, 1);

    private static readonly Parameter[] Prompt =
    [
        ParameterRows.Model,
        Required<MessagesRequest>("messages", "The conversation: text from user and assistant, which take turns.",
            (ref json, request) => request with { Messages = AnthropicMessageReader.ReadAll(ref json) }),
        Honoured<MessagesRequest>("system", "Instructions that stand before the conversation: a string or text blocks.",
            (ref json, request) => request with { System = AnthropicMessageReader.ReadText(ref json) }),
        Honoured<MessagesRequest>("tools", "Functions that the model may call; their arguments are constrained to their schemas while they are made. Tools that would run here are refused.",
            (ref json, request) => request with { Tools = ToolReader.ReadAllOfAnthropic(ref json) }),
        Honoured<MessagesRequest>("tool_choice", "auto, any, none, or the tool to call; disable_parallel_tool_use for one call at most.",
            (ref json, request) => ToolReader.ReadChoiceOfAnthropic(ref json) is var (choice, parallel) ? request with { ToolChoice = choice, ParallelToolCalls = parallel } : request),
        Refused("thinking", "models here do not reason apart from their answer.", """{"type":"disabled"}"""),
        Honoured<MessagesRequest>("output_config", "format with a JSON schema that the answer is constrained to. Other efforts than high, the usual one, are refused.",
            (ref json, request) => request with { Format = FormatReader.ReadSettings(ref json, "output_config", "effort", "high") }),
        Honoured<MessagesRequest>("output_format", "The older name of output_config.format.", (ref json, request) => request with { Format = FormatReader.Read(ref json) }),
        WithoutEffect("cache_control", "A hint for a cache that changes no answer.", SkipObject),
        Refused("mcp_servers", "this server calls no other.", "[]"),
        Refused("context_management", "conversations are never changed by this server.", "{}"),
        Refused("speed", "there is one speed.", "\"standard\""),
    ];

    public static ParameterTable Table { get; } = new("POST /v1/messages",
    [
        .. Prompt,
        Honoured<GenerationFields>("max_tokens", "Tokens to make at most. Required.",
            (ref json, request) => request with { MaxTokens = json.ReadInt32(1, int.MaxValue) }) with { Required = true },
        ParameterRows.Stream,
        Honoured<GenerationFields>("temperature", "0 (always the likeliest token) to 1.",
            (ref json, request) => request with { Temperature = json.ReadNumber(AnthropicTemperature) }),
        TopP,
        TopK,
        Honoured<GenerationFields>("stop_sequences", "Up to 16 texts that end the answer and are not part of it.",
            (ref json, request) => request with { Stop = ReadStops(ref json, MostStops) }),
        WithoutEffect("metadata", "A name for the caller's own use.", SkipObject),
        WithoutEffect("service_tier", "There is one tier, standard.", (ref json) => json.ReadOneOf("auto", "standard_only")),
        Refused("container", "there are no containers here."),
        Refused("diagnostics", "there are none."),
        Refused("inference_geo", "answers are made on this machine."),
        WithoutEffect("user_profile_id", "A name for the caller's own use.", (ref json) => json.ReadString()),
        WithoutEffect("workspace_id", "A name for the caller's own use.", (ref json) => json.ReadString()),
        Extension(Seed),
    ]);

    public static ParameterTable CountTable { get; } = new("POST /v1/messages/count_tokens", Prompt);
}
