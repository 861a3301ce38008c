using System.Numerics;
using System.Numerics.Tensors;

namespace TrainServe.Inference.Constraints;

/// <summary>A set of tokens, a bit for each.</summary>
internal sealed class TokenSet(int vocabSize)
{
    private const int Width = 64;

    // More forbidden tokens of a word than this are written as a whole.
    private const int Few = 16;
    private readonly ulong[] _words = new ulong[(vocabSize + Width - 1) / Width];

    public void Add(int id) => _words[id / Width] |= 1UL << (id % Width);

    public void Add(TokenSet other) => TensorPrimitives.BitwiseOr<ulong>(_words, other._words, _words);

    /// <summary>Writes minus infinity over the logits of all other tokens.</summary>
    public void Keep(Span<float> logits)
    {
        int whole = Math.Min(_words.Length, logits.Length / Width);
        for (int word = 0; word < whole; word++)
        {
            ulong forbidden = ~_words[word];
            if (forbidden == 0)
            {
                continue;
            }
            var group = logits.Slice(word * Width, Width);
            if (forbidden == ulong.MaxValue)
            {
                group.Fill(float.NegativeInfinity);
                continue;
            }
            if (BitOperations.PopCount(forbidden) > Few)
            {
                for (int i = 0; i < Width; i++)
                {
                    group[i] = ((forbidden >> i) & 1) == 0 ? group[i] : float.NegativeInfinity;
                }
                continue;
            }
            for (; forbidden != 0; forbidden &= forbidden - 1)
            {
                group[BitOperations.TrailingZeroCount(forbidden)] = float.NegativeInfinity;
            }
        }
        // The rest of the vocabulary, and rows of the embedding beyond it, of which there often are some up to a round number.
        for (int id = whole * Width; id < logits.Length; id++)
        {
            if (id / Width >= _words.Length || ((_words[id / Width] >> (id % Width)) & 1) == 0)
            {
                logits[id] = float.NegativeInfinity;
            }
        }
    }
}
