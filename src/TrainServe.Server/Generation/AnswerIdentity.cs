using TrainServe.Server.Catalogue;

namespace TrainServe.Server.Generation;

/// <summary>Who answers what and when: the fields that all pieces of an answer share.</summary>
internal sealed record AnswerIdentity(string Id, long Created, string Model, string Fingerprint)
{
    /// <param name="prefix">What ids of this kind of answer begin with.</param>
    /// <param name="model">Who answers.</param>
    /// <param name="time">When.</param>
    public static AnswerIdentity New(string prefix, ServedModel model, TimeProvider time) =>
        new($"{prefix}{Guid.NewGuid():N}", time.GetUtcNow().ToUnixTimeSeconds(), model.Id, model.Fingerprint);

    /// <summary>Names the version in a header, since not every API has a field for it.</summary>
    public void Tell(HttpResponse response) => response.Headers["x-model-version"] = Fingerprint;
}
