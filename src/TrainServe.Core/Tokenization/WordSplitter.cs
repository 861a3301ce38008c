using Microsoft.ML.Tokenizers;

namespace TrainServe.Core.Tokenization;

/// <summary>Cuts text into the words inside which byte-pair merges happen. Every character belongs to exactly one word.</summary>
public abstract class WordSplitter : PreTokenizer
{
    /// <summary>Where each word ends, in UTF-16 units; a word begins where the one before it ends.</summary>
    /// <param name="text">Any text without lone surrogates.</param>
    /// <param name="ends">Cleared and filled.</param>
    public abstract void Split(ReadOnlySpan<char> text, List<int> ends);

    public override IEnumerable<(int Offset, int Length)> PreTokenize(string text) => PreTokenize(text.AsSpan());

    public override IEnumerable<(int Offset, int Length)> PreTokenize(ReadOnlySpan<char> text)
    {
        var ends = new List<int>();
        Split(text, ends);
        var words = new (int Offset, int Length)[ends.Count];
        int start = 0;
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = (start, ends[i] - start);
            start = ends[i];
        }
        return words;
    }
}

/// <summary>Splitters one after the other, each inside the words of the one before.</summary>
internal sealed class SequenceSplitter(IReadOnlyList<WordSplitter> splitters) : WordSplitter
{
    public override void Split(ReadOnlySpan<char> text, List<int> ends)
    {
        splitters[0].Split(text, ends);
        var inner = new List<int>();
        foreach (var splitter in splitters.Skip(1))
        {
            int[] outer = [.. ends];
            ends.Clear();
            int start = 0;
            foreach (int end in outer)
            {
                splitter.Split(text[start..end], inner);
                foreach (int innerEnd in inner)
                {
                    ends.Add(start + innerEnd);
                }
                start = end;
            }
        }
    }
}

/// <summary>No splitting: a text is one word.</summary>
internal sealed class WholeTextSplitter : WordSplitter
{
    public override void Split(ReadOnlySpan<char> text, List<int> ends)
    {
        ends.Clear();
        if (text.Length > 0)
        {
            ends.Add(text.Length);
        }
    }
}
