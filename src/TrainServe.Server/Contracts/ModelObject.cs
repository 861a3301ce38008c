using TrainServe.Core.Packaging;

namespace TrainServe.Server.Contracts;

internal sealed record ModelList(IReadOnlyList<ModelObject> Data)
{
    public string Object => "list";
}

/// <summary>A model that this server answers with.</summary>
/// <param name="Id">The name of its directory.</param>
/// <param name="Created">Seconds since 1970.</param>
internal sealed record ModelObject(string Id, long Created, ModelMetadata Metadata)
{
    public string Object => "model";
    public string OwnedBy => "trainserve";
}

/// <param name="ContextLength">Tokens of prompt and answer together.</param>
/// <param name="Parameters">Stored weights.</param>
/// <param name="Precision">fp32, fp16, int8 or int4.</param>
/// <param name="Task">generate, or score for a reward model.</param>
/// <param name="SystemFingerprint">The same as in the answers that it makes.</param>
/// <param name="LineageId">SHA-256 of its manifest, which names every byte of it and where it comes from.</param>
/// <param name="Lineage">Stage, parent, data and seed.</param>
internal sealed record ModelMetadata(
    int ContextLength, long Parameters, int VocabSize, string Precision, string Task, string SystemFingerprint, string LineageId, Lineage Lineage);
