using System.Numerics;
using TrainServe.Core.Sampling;

namespace TrainServe.Inference.Constraints;

/// <summary>Keeps an answer to a grammar, and to its length: with few tokens left, only those are allowed from which the text can still be completed.</summary>
/// <remarks>What may come first is found when it is made, so that the engine's thread does not wait for it.</remarks>
public sealed class GrammarConstraint : ILogitsConstraint
{
    // The end costs nothing any more.
    private const long EndDistance = -1;

    private readonly TokenTrie _trie;
    private readonly int[] _stopIds, _path;
    private readonly Dictionary<int, Allowed> _allowed = [];
    private GrammarAutomaton _automaton;
    private int _state, _left;

    /// <param name="grammar">Compiled.</param>
    /// <param name="trie">The vocabulary.</param>
    /// <param name="stopIds">Tokens that end the answer; allowed where the text may end.</param>
    /// <param name="maxNewTokens">Tokens of the answer at most.</param>
    public GrammarConstraint(CompiledGrammar grammar, TokenTrie trie, IReadOnlyList<int> stopIds, int maxNewTokens)
    {
        ArgumentNullException.ThrowIfNull(grammar);
        ArgumentNullException.ThrowIfNull(trie);
        (_trie, _stopIds, _left) = (trie, [.. stopIds], maxNewTokens);
        _path = new int[trie.MostDepth + 1];
        _automaton = new GrammarAutomaton(grammar.Program);
        _state = _automaton.Start;
        _allowed[_state] = Find(GrammarProgram.Endless - 1);
    }

    /// <summary>The text so far may end here.</summary>
    public bool IsComplete => _automaton.IsAccepting(_state);

    public void Mask(Span<float> logits)
    {
        if (!_allowed.TryGetValue(_state, out var allowed))
        {
            _allowed[_state] = allowed = Find(GrammarProgram.Endless - 1);
        }
        // What has to be left after this token: a byte of the text takes a token at most, and the one that ends the answer another.
        long most = _left - 2;
        if (_trie.HasEveryByte && most < allowed.MostDistance)
        {
            allowed = Find(Math.Max(most, allowed.LeastDistance));
        }
        allowed.Keep(logits);
    }

    public void Accept(int id)
    {
        _left--;
        _state = After(id);
        if (_state == GrammarAutomaton.Dead)
        {
            throw new InvalidOperationException("A token was chosen that the constraint does not allow.");
        }
        if (_automaton.IsFull)
        {
            (_automaton, _state) = _automaton.Fresh(_state);
            _allowed.Clear();
        }
    }

    private int After(int id)
    {
        var bytes = _trie.BytesOf(id);
        if (bytes.IsEmpty)
        {
            return _automaton.NextControl(_state, id);
        }
        int state = _state;
        for (int i = 0; i < bytes.Length && state != GrammarAutomaton.Dead; i++)
        {
            state = _automaton.Next(state, bytes[i]);
        }
        return state;
    }

    /// <summary>What may come next, as far as the text can be completed with so many further bytes.</summary>
    private Allowed Find(long mostDistance)
    {
        var allowed = new Allowed(_trie.VocabSize, mostDistance);
        _path[0] = _state;
        for (int node = 0; node < _trie.Count;)
        {
            int depth = _trie.Depth(node);
            int state = _automaton.Next(_path[depth - 1], _trie.Byte(node));
            if (state == GrammarAutomaton.Dead)
            {
                node = _trie.End(node);
                continue;
            }
            _path[depth] = state;
            foreach (int id in _trie.Tokens(node))
            {
                allowed.Add(id, _automaton.Distance(state));
            }
            node++;
        }
        foreach (int id in _automaton.Controls(_state))
        {
            allowed.Add(id, _automaton.Distance(_automaton.NextControl(_state, id)));
        }
        if (_automaton.IsAccepting(_state))
        {
            foreach (int id in _stopIds)
            {
                allowed.Add(id, EndDistance);
            }
        }
        return allowed;
    }

    /// <summary>A set of tokens, and how much text is needed at least after them.</summary>
    private sealed class Allowed(int vocabSize, long limit)
    {
        private const int Width = 64;
        private readonly ulong[] _tokens = new ulong[(vocabSize + Width - 1) / Width];

        public long LeastDistance { get; private set; } = long.MaxValue;
        public long MostDistance { get; private set; } = EndDistance;

        public void Add(int id, long distance)
        {
            if (distance <= limit && id < vocabSize)
            {
                _tokens[id / Width] |= 1UL << (id % Width);
                LeastDistance = Math.Min(LeastDistance, distance);
                MostDistance = Math.Max(MostDistance, distance);
            }
        }

        /// <summary>Forbids all others.</summary>
        public void Keep(Span<float> logits)
        {
            for (int word = 0; word < _tokens.Length; word++)
            {
                var group = logits.Slice(word * Width, Math.Min(Width, logits.Length - word * Width));
                for (ulong forbidden = ~_tokens[word]; forbidden != 0; forbidden &= forbidden - 1)
                {
                    int bit = BitOperations.TrailingZeroCount(forbidden);
                    if (bit >= group.Length)
                    {
                        break;
                    }
                    group[bit] = float.NegativeInfinity;
                }
            }
            // Embeddings are often padded to a round number of rows.
            logits[Math.Min(logits.Length, _tokens.Length * Width)..].Fill(float.NegativeInfinity);
        }
    }
}

/// <summary>A grammar that was checked and compiled; for any number of answers, from several threads.</summary>
public sealed class CompiledGrammar
{
    /// <exception cref="GrammarTooLargeException">It is larger or deeper than is allowed.</exception>
    public CompiledGrammar(GrammarNode root)
    {
        ArgumentNullException.ThrowIfNull(root);
        Program = GrammarProgram.Compile(root);
        if (Program.Distances[Program.Start] >= GrammarProgram.Endless)
        {
            throw new GrammarTooLargeException("The grammar has no text that ends.");
        }
    }

    internal GrammarProgram Program { get; }
}
