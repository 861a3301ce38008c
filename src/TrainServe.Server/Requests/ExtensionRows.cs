using TrainServe.Core.Sampling;
using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary>Parameters that OpenAI does not have and users of other servers expect.</summary>
internal static class ExtensionRows
{
    private const int MostStopTokenIds = 128, MostAllowedTokenIds = 1 << 18, MostPriority = 1000;

    /// <summary>What other servers of open models take beside OpenAI's parameters.</summary>
    public static IEnumerable<Parameter> All { get; } = ((Parameter[])
    [
        TopK,
        Honoured<GenerationFields>("min_p", "Leaves out tokens less likely than this share of the likeliest.",
            (ref json, request) => request with { MinP = json.ReadNumber(SamplingRanges.MinP) }),
        Honoured<GenerationFields>("repetition_penalty", "0.01 to 100: divides the logit of a token that was seen where it is positive, multiplies it where negative.",
            (ref json, request) => request with { RepetitionPenalty = json.ReadNumber(SamplingRanges.RepetitionPenalty) }),
        Honoured<GenerationFields>("ignore_eos", "Goes on after the tokens that end an answer.",
            (ref json, request) => request with { IgnoreEos = json.ReadBoolean() }),
        Honoured<GenerationFields>("stop_token_ids", "Tokens that end the answer, besides the model's own.",
            (ref json, request) => request with { StopTokenIds = ReadTokenIds(ref json, MostStopTokenIds) }),
        Honoured<GenerationFields>("cache_salt", "What was computed for the beginning of a prompt is used again by requests of the same key and the same salt only.",
            (ref json, request) => request with { CacheSalt = json.ReadString(128) }),
        Honoured<GenerationFields>("typical_p", "Samples from the tokens whose surprise is nearest to what is expected, until their probabilities reach this sum.",
            (ref json, request) => request with { TypicalP = json.ReadNumber(SamplingRanges.TypicalP) }),
        Honoured<GenerationFields>("min_tokens", "Tokens before one may come that ends the answer. Not with a form of the answer or tools, which have their own end.",
            (ref json, request) => request with { MinTokens = json.ReadInt32(0, int.MaxValue) }),
        Honoured<GenerationFields>("allowed_token_ids", "The only tokens that the answer may have, beside those that end it. Not with a form of the answer or tools.",
            (ref json, request) => request with { AllowedTokenIds = ReadTokenIds(ref json, MostAllowedTokenIds) }),
        Refused("bad_words", "it is not implemented; use logit_bias.", "[]"),
        Honoured<GenerationFields>("guided_json", "A JSON schema that the answer is constrained to.", (ref json, request) => request with { Format = FormatReader.ReadSchema(ref json) }),
        Honoured<GenerationFields>("guided_regex", "A regular expression that the answer is constrained to: classes, groups, alternatives, repetitions, anchors at the ends.",
            (ref json, request) => request with { Format = FormatReader.ReadRegex(ref json) }),
        Honoured<GenerationFields>("guided_choice", "Texts of which the answer is one.", (ref json, request) => request with { Format = FormatReader.ReadChoice(ref json) }),
        Refused("guided_grammar", "it is not implemented; use guided_json, guided_regex or guided_choice."),
        Honoured<GenerationFields>("structured_outputs", "An object with json, regex or choice, as the parameters that begin with guided_.",
            (ref json, request) => request with { Format = FormatReader.ReadStructured(ref json) }),
        Refused("prompt_logprobs", "it is not implemented."),
        Refused("return_token_ids", "it is not implemented; use /tokenize.", "false"),
        Honoured<GenerationFields>("priority", "Of waiting requests the lowest number comes first, and takes the place of a running one with a higher number; 0 when absent.",
            (ref json, request) => request with { Priority = json.ReadInt32(-MostPriority, MostPriority) }),
    ]).Select(Extension).ToArray();
}
