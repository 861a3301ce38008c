using TrainServe.Core.Tokenization;

namespace TrainServe.Inference.Constraints;

/// <summary>The vocabulary as a tree of bytes, so that a constraint looks at each common beginning once. Made once for a tokenizer; safe for use from several threads.</summary>
public sealed class TokenTrie
{
    // In the order of a walk from the root: for each node its byte, its depth, and where the walk goes on when the node is passed over.
    private readonly List<byte> _bytes = [];
    private readonly List<int> _depths = [], _ends = [];
    private readonly List<int[]> _tokens = [];
    private readonly TextTokenizer _tokenizer;

    public TokenTrie(TextTokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        (_tokenizer, VocabSize) = (tokenizer, tokenizer.VocabSize);
        int[] ids = [.. Enumerable.Range(0, VocabSize).Where(id => !tokenizer.TokenBytes(id).IsEmpty)];
        Array.Sort(ids, (one, other) => tokenizer.TokenBytes(one).SequenceCompareTo(tokenizer.TokenBytes(other)) is var order && order != 0 ? order : one - other);
        Add(tokenizer, ids, 0);
        HasEveryByte = Enumerable.Range(0, 256).All(value => ids.Any(id => tokenizer.TokenBytes(id) is [var only] && only == value));
        MostDepth = _depths.Count == 0 ? 0 : _depths.Max();
    }

    public int VocabSize { get; }

    /// <summary>Any text can be spelled byte by byte.</summary>
    public bool HasEveryByte { get; }

    internal int Count => _bytes.Count;
    internal int MostDepth { get; }

    /// <summary>None for a control token.</summary>
    internal ReadOnlySpan<byte> BytesOf(int id) => _tokenizer.TokenBytes(id);

    internal byte Byte(int node) => _bytes[node];

    /// <summary>1 for the first byte of tokens.</summary>
    internal int Depth(int node) => _depths[node];

    /// <summary>The node after all those that go on from this one.</summary>
    internal int End(int node) => _ends[node];

    /// <summary>Tokens whose last byte this is.</summary>
    internal int[] Tokens(int node) => _tokens[node];

    private void Add(TextTokenizer tokenizer, ReadOnlySpan<int> ids, int depth)
    {
        while (ids.Length > 0)
        {
            byte first = tokenizer.TokenBytes(ids[0])[depth];
            int same = 1;
            while (same < ids.Length && tokenizer.TokenBytes(ids[same])[depth] == first)
            {
                same++;
            }
            int whole = 0;
            while (whole < same && tokenizer.TokenBytes(ids[whole]).Length == depth + 1)
            {
                whole++;
            }
            int node = _bytes.Count;
            _bytes.Add(first);
            _depths.Add(depth + 1);
            _ends.Add(0);
            _tokens.Add([.. ids[..whole]]);
            Add(tokenizer, ids[whole..same], depth + 1);
            _ends[node] = _bytes.Count;
            ids = ids[same..];
        }
    }
}
