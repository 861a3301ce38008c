using TrainServe.Inference.Constraints;
using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary><c>POST /v1/responses</c>: OpenAI's 31 parameters, then the extensions.</summary>
internal static class ResponsesParameters
{
    private const int MostTopLogProbs = 20;

    public static ParameterTable Table { get; } = new("POST /v1/responses",
    [
        ParameterRows.Model,
        Required<ResponsesRequest>("input", "What to answer: a text, or the items of a conversation (messages of text, calls of functions and their results).",
            (ref json, request) => request with { Input = ResponsesInputReader.Read(ref json) }),
        Honoured<ResponsesRequest>("instructions", "Stands before the conversation.", (ref json, request) => request with { Instructions = json.ReadString() }),
        ParameterRows.Stream,
        WithoutEffect("stream_options", "Chunks are never padded, whatever include_obfuscation says.", SkipObject),
        Honoured<GenerationFields>("max_output_tokens", "Tokens to make at most; what the context leaves when absent.",
            (ref json, request) => request with { MaxTokens = json.ReadInt32(1, int.MaxValue) }),
        Temperature,
        TopP,
        Honoured<GenerationFields>("top_logprobs", "Adds the likeliest tokens at each position, up to 20.",
            (ref json, request) => request with { TopLogprobs = json.ReadInt32(0, MostTopLogProbs) }),
        Honoured<ResponsesRequest>("include", "message.output_text.logprobs adds log-probabilities; reasoning.encrypted_content adds nothing, as there is no reasoning; all else is refused.",
            (ref json, request) => request with { IncludesLogProbs = ReadInclude(ref json) }),
        Honoured<ResponsesRequest>("text", "The form of the answer: text, json_object or json_schema, which it is constrained to while it is made.",
            (ref json, request) => ReadText(ref json, request)),
        Honoured<ResponsesRequest>("tools", "Functions that the model may call; their arguments are constrained to their schemas while they are made. Tools that would run here are refused.",
            (ref json, request) =>
            {
                var sent = json;
                return request with { Tools = ToolReader.ReadAll(ref json), Echo = request.Echo with { Tools = sent.ReadElement() } };
            }),
        Honoured<ResponsesRequest>("tool_choice", "none, auto, required, or the function to call.",
            (ref json, request) =>
            {
                var sent = json;
                return request with { ToolChoice = ToolReader.ReadChoice(ref json), Echo = request.Echo with { ToolChoice = sent.ReadElement() } };
            }),
        Honoured<ConversationFields>("parallel_tool_calls", "Whether one answer may have several calls; true when absent.",
            (ref json, request) => request with { ParallelToolCalls = json.ReadBoolean() }),
        WithoutEffect("max_tool_calls", "It limits tools that run on the server, and none do.", (ref json) => json.ReadInt32(1, int.MaxValue)),
        Refused("previous_response_id", "nothing is stored; send the whole conversation as input."),
        Refused("conversation", "nothing is stored; send the whole conversation as input."),
        ParameterRows.Store,
        Refused("background", "answers are made while the caller waits.", "false"),
        Refused("truncation", "prompts are never cut.", "\"disabled\""),
        Refused("reasoning", "models here do not reason apart from their answer.", "{}", "{\"effort\":\"none\"}", "{\"effort\":null,\"summary\":null}"),
        Refused("prompt", "there are no stored prompts."),
        Refused("context_management", "conversations are never changed by this server.", "[]"),
        Refused("moderation", "this server does not moderate."),
        Honoured<ResponsesRequest>("metadata", "Comes back with the answer, and is kept with a stored one. Up to 16 texts of 512 with names of 64.", (ref json, request) =>
        {
            var sent = json;
            return request with { Metadata = ReadMetadata(ref json), Echo = request.Echo with { Metadata = sent.ReadElement() } };
        }),
        User,
        WithoutEffect("service_tier", "There is one tier, default.", (ref json) => json.ReadOneOf("auto", "default", "flex", "scale", "priority", "fast")),
        WithoutEffect("safety_identifier", "A name for the caller's own use.", (ref json) => json.ReadString(64)),
        WithoutEffect("prompt_cache_key", "A hint for a cache that changes no answer.", (ref json) => json.ReadString()),
        WithoutEffect("prompt_cache_options", "A hint for a cache that changes no answer.", SkipObject),
        WithoutEffect("prompt_cache_retention", "A hint for a cache that changes no answer.", (ref json) => json.ReadOneOf("in_memory", "24h")),
        Extension(Seed),
        Extension(Stop),
        .. ExtensionRows.All,
    ]);

    private static bool ReadInclude(ref JsonRequestReader json)
    {
        bool logProbs = false;
        json.EnterArray("an array of strings");
        while (json.NextItem())
        {
            switch (json.ReadString())
            {
                case "message.output_text.logprobs":
                    logProbs = true;
                    break;
                case "reasoning.encrypted_content":
                    break;
                case var other:
                    throw json.InvalidValue(other, "message.output_text.logprobs", "reasoning.encrypted_content");
            }
        }
        return logProbs;
    }

    private static ResponsesRequest ReadText(ref JsonRequestReader json, ResponsesRequest request)
    {
        var sent = json;
        var format = FormatReader.ReadSettings(ref json, "text", "verbosity", "medium");
        return request with { Format = format, Echo = request.Echo with { Text = sent.ReadElement() } };
    }
}
