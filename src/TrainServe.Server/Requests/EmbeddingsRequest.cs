using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary>Texts whose vectors are asked for.</summary>
internal sealed record EmbeddingsRequest : RequestFields
{
    private const int MostInputs = 2048;

    public IReadOnlyList<TextPrompt> Input { get; init; } = [];
    public bool Base64 { get; init; }

    public static ParameterTable Table { get; } = new("POST /v1/embeddings",
    [
        Required<EmbeddingsRequest>("input", "A string, an array of strings, an array of token ids, or an array of such arrays; up to 2048 of them.",
            (ref json, request) => request with { Input = CompletionParameters.ReadPrompts(ref json) }),
        ParameterRows.Model,
        Honoured<EmbeddingsRequest>("encoding_format", "float, or base64 for the bytes of single-precision numbers.",
            (ref json, request) => request with { Base64 = json.ReadOneOf("float", "base64") == "base64" }),
        Refused("dimensions", "vectors have the size of the model's hidden states."),
        User,
    ]);

    public static EmbeddingsRequest Parse(ReadOnlySpan<byte> utf8)
    {
        var request = Table.Read(utf8, MostInputs, new EmbeddingsRequest());
        return request.Input.Count > 0 ? request : throw InvalidRequestException.Missing("input");
    }
}
