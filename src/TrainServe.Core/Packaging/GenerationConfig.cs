using System.Text.Json.Serialization;
using TrainServe.Core.IO;

namespace TrainServe.Core.Packaging;

/// <summary>Hugging Face's <c>generation_config.json</c>: what ends a text and how to sample when a request does not say.</summary>
public sealed record GenerationConfig
{
    public int? BosTokenId { get; init; }
    [JsonConverter(typeof(OneOrManyConverter))]
    public IReadOnlyList<int> EosTokenId { get; init; } = [];
    public int? PadTokenId { get; init; }
    public bool DoSample { get; init; } = true;
    public float? Temperature { get; init; }
    public float? TopP { get; init; }
    public int? TopK { get; init; }

    [JsonIgnore]
    public static GenerationConfig Default { get; } = new();

    public static GenerationConfig Read(string path) => File.Exists(path) ? JsonFile.Read<GenerationConfig>(path, JsonFile.SnakeCase) : Default;

    public void Write(string path) => JsonFile.Write(path, this, JsonFile.SnakeCase);
}
