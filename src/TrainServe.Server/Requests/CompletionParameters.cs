using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary><c>POST /v1/completions</c>: OpenAI's 18 parameters in the order of its description, then the extensions.</summary>
internal static class CompletionParameters
{
    private const int MostTopLogProbs = 5, MostPromptTokens = 1 << 20;

    public static ParameterTable Table { get; } = new("POST /v1/completions",
    [
        ParameterRows.Model,
        Required<CompletionRequest>("prompt", "The text to go on with: a string, an array of strings, an array of token ids, or an array of such arrays.",
            (ref json, request) => request with { Prompts = ReadPrompts(ref json) }),
        Refused("best_of", "answers are not compared with each other; use n.", "1"),
        Refused("echo", "the answer does not repeat the prompt.", "false"),
        FrequencyPenalty,
        LogitBias,
        Honoured<GenerationFields>("logprobs", "Adds the log-probability of each token, and of up to 5 likeliest ones in its place.",
            (ref json, request) => request with { Logprobs = true, TopLogprobs = json.ReadInt32(0, MostTopLogProbs) }),
        Honoured<GenerationFields>("max_tokens", "Tokens to make at most, 16 when absent.",
            (ref json, request) => request with { MaxTokens = json.ReadInt32(1, int.MaxValue) }),
        N,
        PresencePenalty,
        Seed,
        Stop,
        ParameterRows.Stream,
        ParameterRows.StreamOptions,
        Refused("suffix", "models here only go on with a text, they do not fill gaps in it.", "\"\""),
        Temperature,
        TopP,
        User,
        .. ExtensionRows.All,
        Extension(Honoured<CompletionRequest>("add_special_tokens", "Whether a prompt of text begins with the token that begins texts, as it did in training; true when absent.",
            (ref json, request) => request with { AddSpecialTokens = json.ReadBoolean() })),
    ]);

    /// <summary>A text, tokens, or several of either.</summary>
    public static IReadOnlyList<TextPrompt> ReadPrompts(ref JsonRequestReader json)
    {
        if (json.IsString)
        {
            return [new TextPrompt(json.ReadString(), null)];
        }
        var prompts = new List<TextPrompt>();
        var ids = new List<int>();
        json.EnterArray("a string or an array");
        while (json.NextItem(ids.Count > 0 ? MostPromptTokens : json.MostMessages))
        {
            if (json.IsNumber && prompts.Count == 0)
            {
                ids.Add(json.ReadInt32(0, int.MaxValue));
            }
            else if (json.IsArray && ids.Count == 0)
            {
                prompts.Add(new TextPrompt(null, ReadTokenIds(ref json, MostPromptTokens)));
            }
            else if (ids.Count == 0)
            {
                prompts.Add(new TextPrompt(json.ReadString(), null));
            }
            else
            {
                throw json.WrongType("an integer");
            }
        }
        return ids.Count > 0 ? [new TextPrompt(null, ids)] : prompts.Count > 0 ? prompts : throw json.Invalid("empty_array",
            $"Invalid '{json.Path}': empty array. Expected an array with minimum length 1, but got an empty array instead.");
    }
}
