using TrainServe.Core.Tokenization;

namespace TrainServe.Inference.Constraints;

/// <summary>The vocabulary as a tree of bytes, so that a constraint looks at each common beginning once. Made once for a tokenizer; safe for use from several threads.</summary>
public sealed class TokenTrie
{
    private readonly TextTokenizer _tokenizer;
    private readonly TokenSet?[] _plainOfLength;
    private readonly TokenSet[] _plainUpToLength;

    public TokenTrie(TextTokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        (_tokenizer, VocabSize) = (tokenizer, tokenizer.VocabSize);
        int[] ids = [.. Enumerable.Range(0, VocabSize).Where(id => !tokenizer.TokenBytes(id).IsEmpty)];
        Array.Sort(ids, (one, other) => tokenizer.TokenBytes(one).SequenceCompareTo(tokenizer.TokenBytes(other)) is var order && order != 0 ? order : one - other);
        int[] plain = [.. ids.Where(id => PlainText.ContainsAll(tokenizer.TokenBytes(id)))];
        (Plain, Other) = (new TokenTree(tokenizer, plain), new TokenTree(tokenizer, [.. ids.Except(plain)]));
        HasEveryByte = Enumerable.Range(0, 256).All(value => ids.Any(id => tokenizer.TokenBytes(id) is [var only] && only == value));
        (_plainOfLength, _plainUpToLength) = (new TokenSet?[Plain.MostDepth + 1], new TokenSet[Plain.MostDepth + 1]);
        foreach (int id in plain)
        {
            (_plainOfLength[tokenizer.TokenBytes(id).Length] ??= new TokenSet(VocabSize)).Add(id);
        }
        _plainUpToLength[0] = new TokenSet(VocabSize);
        for (int length = 1; length < _plainOfLength.Length; length++)
        {
            _plainUpToLength[length] = new TokenSet(VocabSize);
            _plainUpToLength[length].Add(_plainUpToLength[length - 1]);
            _plainUpToLength[length].Add(_plainOfLength[length] ?? _plainUpToLength[0]);
        }
    }

    public int VocabSize { get; }

    /// <summary>Any text can be spelled byte by byte.</summary>
    public bool HasEveryByte { get; }

    /// <summary>Tokens of plain characters only (<see cref="PlainText"/>), most of all.</summary>
    internal TokenTree Plain { get; }

    /// <summary>The rest.</summary>
    internal TokenTree Other { get; }
    internal int MostDepth => Math.Max(Plain.MostDepth, Other.MostDepth);

    /// <summary>Plain tokens of exactly so many bytes; null where there are none.</summary>
    internal TokenSet? PlainOfLength(int length) => _plainOfLength[length];

    /// <summary>Plain tokens of at most so many bytes.</summary>
    internal TokenSet PlainUpToLength(int length) => _plainUpToLength[length];

    /// <summary>None for a control token.</summary>
    internal ReadOnlySpan<byte> BytesOf(int id) => _tokenizer.TokenBytes(id);
}
