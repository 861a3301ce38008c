using System.Text.Json;

namespace TrainServe.Server.Contracts;

internal sealed record EmbeddingList(IReadOnlyList<EmbeddingObject> Data, string Model, ReadingUsage Usage)
{
    public string Object => "list";
}

/// <param name="Embedding">Numbers, or their single-precision bytes in base64 where that was asked for. Of length 1.</param>
internal sealed record EmbeddingObject(int Index, JsonElement Embedding)
{
    public string Object => "embedding";
}
