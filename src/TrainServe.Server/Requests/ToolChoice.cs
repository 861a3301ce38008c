namespace TrainServe.Server.Requests;

/// <summary>Whether tools are called.</summary>
internal enum ToolUse
{
    /// <summary>As the model likes.</summary>
    Auto,

    /// <summary>Not at all.</summary>
    None,

    /// <summary>At least one.</summary>
    Required,
}

/// <param name="Use">Whether tools are called.</param>
/// <param name="Name">The one that has to be called, and no other.</param>
internal sealed record ToolChoice(ToolUse Use, string? Name = null)
{
    public static ToolChoice Auto { get; } = new(ToolUse.Auto);
    public static ToolChoice None { get; } = new(ToolUse.None);
    public static ToolChoice Required { get; } = new(ToolUse.Required);
}
