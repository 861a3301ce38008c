using TrainServe.Core.Chat;
using TrainServe.Core.Tokenization;

namespace TrainServe.Training.Tokenization;

/// <summary>A learned vocabulary, and how well it fits what it was learned from.</summary>
public sealed record BpeVocabulary
{
    /// <summary>A token is a byte, and nothing was learned.</summary>
    public static BpeVocabulary OfBytes(IReadOnlyList<string> specialTokens) => new()
    {
        Tokens = [.. Enumerable.Range(0, 256).Select(value => new[] { (byte)value })],
        Merges = [],
        SpecialTokens = specialTokens,
    };

    /// <summary>The bytes of each ordinary token, in the order of ids: 256 bytes, then merges.</summary>
    public required IReadOnlyList<byte[]> Tokens { get; init; }

    /// <summary>Pairs of ids in the order in which they apply.</summary>
    public required IReadOnlyList<(int Left, int Right)> Merges { get; init; }

    /// <summary>Control tokens; their ids follow the ordinary ones.</summary>
    public required IReadOnlyList<string> SpecialTokens { get; init; }

    /// <summary>Size of the corpus in UTF-8.</summary>
    public long CorpusBytes { get; init; }

    /// <summary>Size of the corpus in tokens of this vocabulary.</summary>
    public long CorpusTokens { get; init; }
    public int UniqueWords { get; init; }

    public int VocabSize => Tokens.Count + SpecialTokens.Count;
    public double BytesPerToken => (double)CorpusBytes / CorpusTokens;

    /// <summary>Writes <c>tokenizer.json</c> and <c>tokenizer_config.json</c>, and reads them back.</summary>
    /// <param name="directory">Made when it does not exist.</param>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public TextTokenizer Save(string directory)
    {
        Directory.CreateDirectory(directory);
        TokenizerJsonWriter.Write(Path.Combine(directory, "tokenizer.json"), Tokens, Merges, SpecialTokens);
        var tokenizer = TextTokenizer.Load(directory);
        var config = new TokenizerConfig
        {
            BosToken = Core.Tokenization.SpecialTokens.EndOfText,
            EosToken = Core.Tokenization.SpecialTokens.EndOfText,
            PadToken = Core.Tokenization.SpecialTokens.Pad,
        };
        bool canChat = Core.Tokenization.SpecialTokens.Ours.All(token => tokenizer.Special.TryGetId(token) is not null);
        config = canChat ? config with { ChatTemplate = ChatTemplate.TrainServe(tokenizer).Jinja } : config with
        {
            BosToken = Known(config.BosToken),
            EosToken = Known(config.EosToken),
            PadToken = Known(config.PadToken),
        };
        config.Write(directory, tokenizer.Special);
        return TextTokenizer.Load(directory);

        string? Known(string token) => tokenizer.Special.TryGetId(token) is null ? null : token;
    }
}
