using System.Text;

namespace TrainServe.Core.Tokenization;

/// <summary>What a tokenizer's files say, checked, before anything is built from it.</summary>
internal sealed record TokenizerDefinition
{
    /// <summary>What to name in messages.</summary>
    public required string Source { get; init; }

    /// <summary>Of the file's bytes.</summary>
    public required string Sha256 { get; init; }
    public required IReadOnlyDictionary<string, int> Vocabulary { get; init; }

    /// <summary>In the order in which they apply.</summary>
    public required IReadOnlyList<(string Left, string Right)> Merges { get; init; }
    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }

    /// <summary>Null for a SentencePiece-type tokenizer, whose whole text is one word.</summary>
    public WordSplitter? Splitter { get; init; }
    public NormalizationForm? Normalization { get; init; }

    /// <summary>Llama 3: a word that is a token stays whole even where no merges lead to it.</summary>
    public bool IgnoreMerges { get; init; }

    /// <summary>Tokens are characters with <c>▁</c> for a space and <c>&lt;0x0A&gt;</c> for bytes, not the byte-level alphabet.</summary>
    public bool IsSentencePiece { get; init; }

    /// <summary>SentencePiece: a space is written before the text, and taken away again when decoding.</summary>
    public bool AddDummyPrefix { get; init; }
    public bool StripLeadingSpace { get; init; }
}

/// <summary>A token that stands beside the vocabulary.</summary>
/// <param name="Content">How it is written.</param>
/// <param name="Id">Its id.</param>
/// <param name="IsSpecial">A control token. Others are ordinary text that is always one token.</param>
/// <param name="IsNormalized">Looked for after normalisation instead of before.</param>
internal sealed record AddedToken(string Content, int Id, bool IsSpecial, bool IsNormalized);
