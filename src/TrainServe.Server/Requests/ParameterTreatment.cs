namespace TrainServe.Server.Requests;

/// <summary>What this server does with a parameter that a caller may send.</summary>
internal enum ParameterTreatment
{
    /// <summary>It changes the answer as documented.</summary>
    Honoured,

    /// <summary>It is checked and changes nothing here; <see cref="ChatParameter.Effect"/> says why that is right.</summary>
    WithoutEffect,

    /// <summary>It is refused with 400, but for the values in <see cref="ChatParameter.Neutral"/>, which ask for nothing.</summary>
    Refused,
}

internal delegate ChatCompletionRequest ParameterReader(ref JsonRequestReader json, ChatCompletionRequest request);

/// <summary>A row of <see cref="ChatParameters"/>.</summary>
/// <param name="Name">As on the wire.</param>
/// <param name="Effect">What it does, or why it does nothing or is refused.</param>
internal sealed record ChatParameter(string Name, ParameterTreatment Treatment, string Effect, ParameterReader Read)
{
    /// <summary>Part of OpenAI's description, or an extension that other servers' users expect.</summary>
    public bool Extension { get; init; }

    /// <summary>JSON values that a refused parameter may have.</summary>
    public IReadOnlyList<string> Neutral { get; init; } = [];
}
