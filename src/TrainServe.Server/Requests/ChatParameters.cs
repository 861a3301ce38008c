using System.Collections.Frozen;
using TrainServe.Core.Sampling;
using static TrainServe.Server.Requests.ParameterTreatment;

namespace TrainServe.Server.Requests;

/// <summary>Every parameter of a chat request and what becomes of it. A name that is not here is an error; null always means "not sent".</summary>
internal static class ChatParameters
{
    private const int MostChoices = 128, MostTopLogProbs = 20, MostStops = 4, MostStopLength = 1024, MostBiases = 1024, MostStopTokenIds = 128;

    /// <summary>OpenAI's 37 parameters in the order of its description, then the extensions.</summary>
    public static IReadOnlyList<ChatParameter> All { get; } =
    [
        Honoured("messages", "The conversation: text from developer, system, user and assistant.",
            (ref json, request) => request with { Messages = ChatMessageReader.ReadAll(ref json) }),
        Honoured("model", "The model directory's name, as /v1/models lists it.",
            (ref json, request) => request with { Model = json.ReadString() }),
        Honoured("stream", "Sends the answer as it is made.",
            (ref json, request) => request with { Stream = json.ReadBoolean() }),
        Honoured("stream_options", "include_usage adds a last chunk with the usage. Chunks are never padded, whatever include_obfuscation says.",
            (ref json, request) => request with { StreamOptions = ReadStreamOptions(ref json) }),
        Honoured("temperature", "0 (always the likeliest token) to 2.",
            (ref json, request) => request with { Temperature = json.ReadNumber(SamplingRanges.Temperature) }),
        Honoured("top_p", "Samples from the likeliest tokens whose probabilities reach this sum.",
            (ref json, request) => request with { TopP = json.ReadNumber(SamplingRanges.TopP) }),
        Honoured("n", "Answers to make, 1 to 128. With a seed, choice i is the answer to seed + i alone.",
            (ref json, request) => request with { N = json.ReadInt32(1, MostChoices) }),
        Honoured("max_tokens", "Tokens to make at most; what the context leaves when absent.",
            (ref json, request) => request with { MaxTokens = json.ReadInt32(1, int.MaxValue) }),
        Honoured("max_completion_tokens", "The newer name of max_tokens.",
            (ref json, request) => request with { MaxCompletionTokens = json.ReadInt32(1, int.MaxValue) }),
        Honoured("stop", "Up to 4 texts that end the answer and are not part of it.",
            (ref json, request) => request with { Stop = ReadStops(ref json) }),
        Honoured("seed", "The same seed, parameters and model version give the same answer.",
            (ref json, request) => request with { Seed = json.ReadInteger(long.MinValue, long.MaxValue) }),
        Honoured("logprobs", "Adds the log-probability of each token.",
            (ref json, request) => request with { Logprobs = json.ReadBoolean() }),
        Honoured("top_logprobs", "Adds the likeliest tokens at each position, up to 20.",
            (ref json, request) => request with { TopLogprobs = json.ReadInt32(0, MostTopLogProbs) }),
        Honoured("logit_bias", "Token id to a number from -100 to 100 that is added to its logit.",
            (ref json, request) => request with { LogitBias = ReadLogitBias(ref json) }),
        Honoured("frequency_penalty", "-2 to 2, subtracted from a token's logit for each time it was made.",
            (ref json, request) => request with { FrequencyPenalty = json.ReadNumber(SamplingRanges.FrequencyPenalty) }),
        Honoured("presence_penalty", "-2 to 2, subtracted from the logit of a token that was made.",
            (ref json, request) => request with { PresencePenalty = json.ReadNumber(SamplingRanges.PresencePenalty) }),
        Refused("response_format", "answers are not constrained to a format.", """{"type":"text"}"""),
        Refused("tools", "models here call no tools.", "[]"),
        Refused("tool_choice", "models here call no tools.", "\"none\"", "\"auto\""),
        WithoutEffect("parallel_tool_calls", "There are no tool calls that could be parallel.", (ref json) => json.ReadBoolean()),
        Refused("reasoning_effort", "models here do not reason apart from their answer.", "\"none\""),
        WithoutEffect("user", "A name for the caller's own use.", (ref json) => json.ReadString()),
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

        Extension(Honoured("top_k", "Samples from this many likeliest tokens; 0 or -1 for all.",
            (ref json, request) => request with { TopK = json.ReadInt32(-1, int.MaxValue) })),
        Extension(Honoured("min_p", "Leaves out tokens less likely than this share of the likeliest.",
            (ref json, request) => request with { MinP = json.ReadNumber(SamplingRanges.MinP) })),
        Extension(Honoured("repetition_penalty", "0.01 to 100: divides the logit of a token that was seen where it is positive, multiplies it where negative.",
            (ref json, request) => request with { RepetitionPenalty = json.ReadNumber(SamplingRanges.RepetitionPenalty) })),
        Extension(Honoured("ignore_eos", "Goes on after the tokens that end an answer.",
            (ref json, request) => request with { IgnoreEos = json.ReadBoolean() })),
        Extension(Honoured("stop_token_ids", "Tokens that end the answer, besides the model's own.",
            (ref json, request) => request with { StopTokenIds = ReadTokenIds(ref json) })),
        Extension(WithoutEffect("cache_salt", "Keeps callers apart in a shared prefix cache; there is none.", (ref json) => json.ReadString())),
        Extension(Refused("typical_p", "it is not implemented; use top_p or min_p.", "1", "1.0")),
        Extension(Refused("min_tokens", "it is not implemented.", "0")),
        Extension(Refused("allowed_token_ids", "it is not implemented.")),
        Extension(Refused("bad_words", "it is not implemented; use logit_bias.", "[]")),
        Extension(Refused("guided_json", "answers are not constrained to a format.")),
        Extension(Refused("guided_regex", "answers are not constrained to a format.")),
        Extension(Refused("guided_grammar", "answers are not constrained to a format.")),
        Extension(Refused("guided_choice", "answers are not constrained to a format.")),
        Extension(Refused("structured_outputs", "answers are not constrained to a format.")),
        Extension(Refused("prompt_logprobs", "it is not implemented.")),
        Extension(Refused("return_token_ids", "it is not implemented.", "false")),
        Extension(Refused("priority", "requests are served in the order in which they come.", "0")),
    ];

    private static readonly FrozenDictionary<string, ChatParameter> ByName = All.ToFrozenDictionary(parameter => parameter.Name, StringComparer.Ordinal);

    public static ChatParameter? Find(string name) => ByName.GetValueOrDefault(name);

    private delegate void ValueReader(ref JsonRequestReader json);

    private static ChatParameter Honoured(string name, string effect, ParameterReader read) => new(name, ParameterTreatment.Honoured, effect,
        (ref json, request) => json.IsNull && name != "messages" ? request : read(ref json, request));

    private static ChatParameter WithoutEffect(string name, string effect, ValueReader check) => new(name, ParameterTreatment.WithoutEffect, effect, (ref json, request) =>
    {
        if (!json.IsNull)
        {
            check(ref json);
        }
        return request;
    });

    private static ChatParameter Refused(string name, string why, params string[] neutral) => new(name, ParameterTreatment.Refused, why, (ref json, request) =>
        json.IsNull || (json.ReadCompact() is { } value && neutral.Contains(value, StringComparer.Ordinal))
            ? request
            : throw InvalidRequestException.Unsupported(name, why)) { Neutral = neutral };

    private static ChatParameter Extension(ChatParameter parameter) => parameter with { Extension = true };

    private static StreamOptions ReadStreamOptions(ref JsonRequestReader json)
    {
        bool includeUsage = false;
        json.EnterObject();
        while (json.NextProperty(out string name))
        {
            switch (name)
            {
                case "include_usage":
                    includeUsage = !json.IsNull && json.ReadBoolean();
                    break;
                case "include_obfuscation":
                    _ = !json.IsNull && json.ReadBoolean();
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        return new StreamOptions(includeUsage);
    }

    private static IReadOnlyList<string> ReadStops(ref JsonRequestReader json)
    {
        if (json.IsString)
        {
            string stop = json.ReadString(MostStopLength);
            return stop.Length == 0 ? [] : [stop];
        }
        var stops = new List<string>(MostStops);
        json.EnterArray("a string or an array of strings");
        while (json.NextItem(MostStops))
        {
            string stop = json.ReadString(MostStopLength);
            if (stop.Length == 0)
            {
                throw json.Invalid("string_below_min_length",
                    $"Invalid '{json.Path}': empty string. Expected a string with minimum length 1, but got an empty string instead.");
            }
            stops.Add(stop);
        }
        return stops;
    }

    private static Dictionary<int, float>? ReadLogitBias(ref JsonRequestReader json)
    {
        var biases = new Dictionary<int, float>();
        json.EnterObject("an object");
        while (json.NextProperty(out string name))
        {
            if (!int.TryParse(name, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int id))
            {
                throw json.Invalid("invalid_value", $"Invalid key in 'logit_bias': {JsonRequestReader.Shown(name)}. Keys are token ids.");
            }
            if (biases.Count == MostBiases)
            {
                throw json.Invalid("object_above_max_properties", $"Invalid 'logit_bias': too many properties. Expected at most {MostBiases}.");
            }
            biases[id] = json.ReadNumber(SamplingRanges.LogitBias);
        }
        return biases.Count == 0 ? null : biases;
    }

    private static IReadOnlyList<int> ReadTokenIds(ref JsonRequestReader json)
    {
        var ids = new List<int>();
        json.EnterArray("an array of integers");
        while (json.NextItem(MostStopTokenIds))
        {
            ids.Add(json.ReadInt32(0, int.MaxValue));
        }
        return ids;
    }

    private static void ReadMetadata(ref JsonRequestReader json)
    {
        int count = 0;
        json.EnterObject();
        while (json.NextProperty(out string name))
        {
            if (++count > 16)
            {
                throw json.Invalid("object_above_max_properties", "Invalid 'metadata': too many properties. Expected an object with at most 16 properties.");
            }
            if (name.Length > 64)
            {
                throw json.Invalid("string_above_max_length",
                    $"Invalid key in 'metadata': string too long. Expected a string with maximum length 64, but got a string with length {name.Length} instead.");
            }
            json.ReadString(512);
        }
    }

    private static void SkipObject(ref JsonRequestReader json)
    {
        json.EnterObject();
        while (json.NextProperty(out _))
        {
            json.Skip();
        }
    }
}
