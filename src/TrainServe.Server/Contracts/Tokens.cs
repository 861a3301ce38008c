namespace TrainServe.Server.Contracts;

/// <param name="Count">How many tokens.</param>
/// <param name="MaxModelLen">Tokens of prompt and answer together.</param>
/// <param name="TokenStrs">The text of each token where it was asked for; a part of a character is shown as U+FFFD.</param>
internal sealed record TokenizeResponse(int Count, int MaxModelLen, IReadOnlyList<int> Tokens, IReadOnlyList<string>? TokenStrs);

internal sealed record DetokenizeResponse(string Prompt);

/// <summary>What the model really sees of a conversation.</summary>
/// <param name="Prompt">With control tokens written out; not the same as encoding this text, which would make plain text of them.</param>
/// <param name="Template">The name of the template.</param>
internal sealed record ApplyTemplateResponse(string Prompt, IReadOnlyList<int> Tokens, string Template);
