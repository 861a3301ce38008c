namespace TrainServe.Server.Contracts;

/// <summary>What a reward model thinks of answers.</summary>
/// <param name="Id">Begins with <c>score-</c>.</param>
/// <param name="Created">Seconds since 1970.</param>
/// <param name="SystemFingerprint">Names the model version that judged.</param>
internal sealed record ScoreList(string Id, long Created, string Model, IReadOnlyList<ScoreObject> Data, ReadingUsage Usage, string SystemFingerprint)
{
    public string Object => "list";
}

/// <param name="Score">The higher the better; no unit.</param>
internal sealed record ScoreObject(int Index, float Score)
{
    public string Object => "score";
}

/// <summary>What reading costs: nothing is made.</summary>
internal sealed record ReadingUsage(int PromptTokens)
{
    public int TotalTokens => PromptTokens;
}
