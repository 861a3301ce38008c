namespace TrainServe.Server.Requests;

/// <summary>What this server does with a parameter that a caller may send.</summary>
internal enum ParameterTreatment
{
    /// <summary>It changes the answer as documented.</summary>
    Honoured,

    /// <summary>It is checked and changes nothing here; <see cref="Parameter.Effect"/> says why that is right.</summary>
    WithoutEffect,

    /// <summary>It is refused with 400, but for the values in <see cref="Parameter.Neutral"/>, which ask for nothing.</summary>
    Refused,
}

internal delegate RequestFields ParameterReader(ref JsonRequestReader json, RequestFields request);

/// <summary>A row of a <see cref="ParameterTable"/>.</summary>
/// <param name="Name">As on the wire.</param>
/// <param name="Effect">What it does, or why it does nothing or is refused.</param>
internal sealed record Parameter(string Name, ParameterTreatment Treatment, string Effect, ParameterReader Read)
{
    /// <summary>Not part of the original API's description, but something that other servers' users expect.</summary>
    public bool Extension { get; init; }

    /// <summary>A request without it is refused.</summary>
    public bool Required { get; init; }

    /// <summary>JSON values that a refused parameter may have.</summary>
    public IReadOnlyList<string> Neutral { get; init; } = [];

    /// <summary>The row as a sentence, for documentation.</summary>
    public string Sentence => Treatment switch
    {
        ParameterTreatment.Honoured => Effect,
        ParameterTreatment.WithoutEffect => $"Accepted without effect. {Effect}",
        _ => $"Refused: {Effect}" + (Neutral.Count > 0 ? $" Allowed, as they ask for nothing: {string.Join(", ", Neutral)}." : ""),
    };
}
