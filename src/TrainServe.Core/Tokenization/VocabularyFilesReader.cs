using System.Text;
using TrainServe.Core.Packaging;

namespace TrainServe.Core.Tokenization;

/// <summary>Reads GPT-2's older pair of files: <c>vocab.json</c> and <c>merges.txt</c>.</summary>
internal static class VocabularyFilesReader
{
    public static TokenizerDefinition Read(string vocabPath, string mergesPath)
    {
        var root = JsonField.ReadFile(vocabPath, out byte[] vocabContent);
        var vocabulary = root.Members().ToDictionary(member => member.Key, member => member.Value.Number, StringComparer.Ordinal);
        if (!File.Exists(mergesPath))
        {
            throw new FileNotFoundException($"{mergesPath} does not exist.", mergesPath);
        }
        byte[] mergesContent = File.ReadAllBytes(mergesPath);
        var merges = new List<(string Left, string Right)>();
        int line = 0;
        foreach (string text in Encoding.UTF8.GetString(mergesContent).Split('\n'))
        {
            line++;
            string merge = text.TrimEnd('\r');
            if (merge.Length == 0 || (line == 1 && merge.StartsWith("#version", StringComparison.Ordinal)))
            {
                continue;
            }
            merges.Add(TokenizerJsonReader.SplitMerge(merge) ?? throw new InvalidDataException($"{mergesPath}, line {line} is '{merge}'; it must be two tokens with a space between them."));
        }
        var added = new List<AddedToken>();
        if (vocabulary.TryGetValue(SpecialTokens.EndOfText, out int endOfText))
        {
            added.Add(new AddedToken(SpecialTokens.EndOfText, endOfText, IsSpecial: true, IsNormalized: false));
        }
        return new TokenizerDefinition
        {
            Source = vocabPath,
            Sha256 = FileHash.OfBytes([.. vocabContent, .. mergesContent]),
            Vocabulary = vocabulary,
            Merges = merges,
            AddedTokens = added,
            Splitter = PatternSplitter.Gpt2,
        };
    }
}
