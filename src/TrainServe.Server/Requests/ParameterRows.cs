using TrainServe.Core.Sampling;

namespace TrainServe.Server.Requests;

/// <summary>How rows of a <see cref="ParameterTable"/> are made, and those that several routes share.</summary>
internal static class ParameterRows
{
    private const int MostChoices = 128, MostStops = 4, MostStopLength = 1024, MostBiases = 1024;

    public delegate T Reader<T>(ref JsonRequestReader json, T request);

    public delegate void Check(ref JsonRequestReader json);

    public static Parameter Honoured<T>(string name, string effect, Reader<T> read) where T : RequestFields => new(name, ParameterTreatment.Honoured, effect,
        (ref json, request) => json.IsNull ? request : read(ref json, (T)request));

    /// <summary>Null is not the same as nothing here.</summary>
    public static Parameter Required<T>(string name, string effect, Reader<T> read) where T : RequestFields => new(name, ParameterTreatment.Honoured, effect,
        (ref json, request) => read(ref json, (T)request)) { Required = true };

    public static Parameter WithoutEffect(string name, string effect, Check check) => new(name, ParameterTreatment.WithoutEffect, effect, (ref json, request) =>
    {
        if (!json.IsNull)
        {
            check(ref json);
        }
        return request;
    });

    public static Parameter Refused(string name, string why, params string[] neutral) => new(name, ParameterTreatment.Refused, why, (ref json, request) =>
        json.IsNull || (json.ReadCompact() is { } value && neutral.Contains(value, StringComparer.Ordinal))
            ? request
            : throw InvalidRequestException.Unsupported(name, why)) { Neutral = neutral };

    public static Parameter Extension(Parameter parameter) => parameter with { Extension = true };

    public static Parameter Model { get; } = Honoured<RequestFields>("model", "The name of a model as /v1/models lists it.",
        (ref json, request) => request with { Model = json.ReadString() }) with { Required = true };

    public static Parameter Stream { get; } = Honoured<GenerationFields>("stream", "Sends the answer as it is made.",
        (ref json, request) => request with { Stream = json.ReadBoolean() });

    public static Parameter StreamOptions { get; } = Honoured<GenerationFields>("stream_options",
        "include_usage adds a last chunk with the usage. Chunks are never padded, whatever include_obfuscation says.",
        (ref json, request) => request with { StreamOptions = ReadStreamOptions(ref json) });

    public static Parameter Temperature { get; } = Honoured<GenerationFields>("temperature", "0 (always the likeliest token) to 2.",
        (ref json, request) => request with { Temperature = json.ReadNumber(SamplingRanges.Temperature) });

    public static Parameter TopP { get; } = Honoured<GenerationFields>("top_p", "Samples from the likeliest tokens whose probabilities reach this sum.",
        (ref json, request) => request with { TopP = json.ReadNumber(SamplingRanges.TopP) });

    public static Parameter N { get; } = Honoured<GenerationFields>("n", "Answers to make, 1 to 128. With a seed, choice i is the answer to seed + i alone.",
        (ref json, request) => request with { N = json.ReadInt32(1, MostChoices) });

    public static Parameter Stop { get; } = Honoured<GenerationFields>("stop", "Up to 4 texts that end the answer and are not part of it.",
        (ref json, request) => request with { Stop = ReadStops(ref json) });

    public static Parameter Seed { get; } = Honoured<GenerationFields>("seed", "The same seed, parameters and model version give the same answer.",
        (ref json, request) => request with { Seed = json.ReadInteger(long.MinValue, long.MaxValue) });

    public static Parameter LogitBias { get; } = Honoured<GenerationFields>("logit_bias", "Token id to a number from -100 to 100 that is added to its logit.",
        (ref json, request) => request with { LogitBias = ReadLogitBias(ref json) });

    public static Parameter FrequencyPenalty { get; } = Honoured<GenerationFields>("frequency_penalty", "-2 to 2, subtracted from a token's logit for each time it was made.",
        (ref json, request) => request with { FrequencyPenalty = json.ReadNumber(SamplingRanges.FrequencyPenalty) });

    public static Parameter PresencePenalty { get; } = Honoured<GenerationFields>("presence_penalty", "-2 to 2, subtracted from the logit of a token that was made.",
        (ref json, request) => request with { PresencePenalty = json.ReadNumber(SamplingRanges.PresencePenalty) });

    public static Parameter User { get; } = WithoutEffect("user", "A name for the caller's own use.", (ref json) => json.ReadString());

    public static Parameter Store { get; } = Honoured<ConversationFields>("store",
        "true keeps the conversation and its answers, so that POST /v1/feedback can speak of them and the next training run can learn from that. Nothing is kept otherwise, and nothing where the server runs without the option Feedback.",
        (ref json, request) => request with { Store = json.ReadBoolean() });

    public static Parameter TopK { get; } = Honoured<GenerationFields>("top_k", "Samples from this many likeliest tokens; 0 or -1 for all.",
        (ref json, request) => request with { TopK = json.ReadInt32(-1, int.MaxValue) });

    public static List<int> ReadTokenIds(ref JsonRequestReader json, int most)
    {
        var ids = new List<int>();
        json.EnterArray("an array of integers");
        while (json.NextItem(most))
        {
            ids.Add(json.ReadInt32(0, int.MaxValue));
        }
        return ids;
    }

    public static IReadOnlyDictionary<string, string> ReadMetadata(ref JsonRequestReader json)
    {
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        json.EnterObject();
        while (json.NextProperty(out string name))
        {
            if (metadata.Count == 16)
            {
                throw json.Invalid("object_above_max_properties", "Invalid 'metadata': too many properties. Expected an object with at most 16 properties.");
            }
            if (name.Length > 64)
            {
                throw json.Invalid("string_above_max_length",
                    $"Invalid key in 'metadata': string too long. Expected a string with maximum length 64, but got a string with length {name.Length} instead.");
            }
            metadata.Add(name, json.ReadString(512));
        }
        return metadata;
    }

    public static void SkipObject(ref JsonRequestReader json)
    {
        json.EnterObject();
        while (json.NextProperty(out _))
        {
            json.Skip();
        }
    }

    public static IReadOnlyList<string> ReadStops(ref JsonRequestReader json, int most)
    {
        var stops = new List<string>(MostStops);
        json.EnterArray("a string or an array of strings");
        while (json.NextItem(most))
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

    private static IReadOnlyList<string> ReadStops(ref JsonRequestReader json)
    {
        if (json.IsString)
        {
            string stop = json.ReadString(MostStopLength);
            return stop.Length == 0 ? [] : [stop];
        }
        return ReadStops(ref json, MostStops);
    }

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
}
