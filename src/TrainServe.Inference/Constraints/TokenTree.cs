using TrainServe.Core.Tokenization;

namespace TrainServe.Inference.Constraints;

/// <summary>Tokens as a tree of their bytes, laid out in the order of a walk from the root.</summary>
internal sealed class TokenTree
{
    private readonly int[] _tokens;
    private readonly Node[] _nodes;

    /// <param name="tokenizer">Knows the bytes.</param>
    /// <param name="ids">In the order of their bytes.</param>
    public TokenTree(TextTokenizer tokenizer, int[] ids)
    {
        _tokens = ids;
        var nodes = new List<Node>();
        Add(nodes, tokenizer, 0, ids.Length, 0);
        _nodes = [.. nodes];
        MostDepth = nodes.Count == 0 ? 0 : nodes.Max(node => node.Depth);
    }

    /// <summary>Bytes of the longest token.</summary>
    public int MostDepth { get; }

    public ReadOnlySpan<Node> Nodes => _nodes;

    /// <summary>Tokens whose last byte a node is.</summary>
    public ReadOnlySpan<int> Tokens(in Node node) => _tokens.AsSpan(node.FirstToken, node.Tokens);

    private void Add(List<Node> nodes, TextTokenizer tokenizer, int start, int end, int depth)
    {
        while (start < end)
        {
            byte first = tokenizer.TokenBytes(_tokens[start])[depth];
            int same = start + 1;
            while (same < end && tokenizer.TokenBytes(_tokens[same])[depth] == first)
            {
                same++;
            }
            int whole = start;
            while (whole < same && tokenizer.TokenBytes(_tokens[whole]).Length == depth + 1)
            {
                whole++;
            }
            int node = nodes.Count;
            nodes.Add(default);
            Add(nodes, tokenizer, whole, same, depth + 1);
            nodes[node] = new Node(first, depth + 1, nodes.Count, start, whole - start);
            start = same;
        }
    }

    /// <summary>A byte of tokens.</summary>
    /// <param name="Byte">Its value.</param>
    /// <param name="Depth">1 for the first byte of tokens.</param>
    /// <param name="End">The node after all those that go on from this one.</param>
    /// <param name="FirstToken">Where its tokens begin.</param>
    /// <param name="Tokens">How many end with it.</param>
    public readonly record struct Node(byte Byte, int Depth, int End, int FirstToken, int Tokens);
}
