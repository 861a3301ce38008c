using TrainServe.Core.Sampling;

namespace TrainServe.Inference.Constraints;

/// <summary>Keeps an answer to a grammar, and to its length: with few tokens left, only those are allowed from which the text can still be completed.</summary>
public sealed class GrammarConstraint : ILogitsConstraint
{
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
    }

    /// <summary>The text so far may end here.</summary>
    public bool IsComplete => _automaton.IsAccepting(_state);

    public void Mask(Span<float> logits)
    {
        var allowed = AllowedNow();
        // What has to be left after this token: a byte of the text takes a token at most, and the one that ends the answer another.
        long most = _left - 2;
        if (!_trie.HasEveryByte || most >= allowed.MostDistance)
        {
            Keep(logits, allowed.Tokens, null, long.MaxValue);
        }
        else if (allowed.LeastDistance <= most)
        {
            Keep(logits, allowed.Tokens, allowed.Distances, most);
        }
        else
        {
            Keep(logits, allowed.Tokens, allowed.Distances, allowed.LeastDistance);
        }
    }

    public void Accept(int id)
    {
        _left--;
        _state = AllowedNow().States.GetValueOrDefault(id, GrammarAutomaton.Dead);
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

    private static void Keep(Span<float> logits, int[] tokens, long[]? distances, long most)
    {
        // The tokens are in the order of their ids.
        int next = 0;
        for (int i = 0; i < tokens.Length; i++)
        {
            if (distances is not null && distances[i] > most)
            {
                continue;
            }
            logits[next..tokens[i]].Fill(float.NegativeInfinity);
            next = tokens[i] + 1;
        }
        logits[next..].Fill(float.NegativeInfinity);
    }

    private Allowed AllowedNow()
    {
        if (!_allowed.TryGetValue(_state, out var allowed))
        {
            _allowed[_state] = allowed = Find();
        }
        return allowed;
    }

    private Allowed Find()
    {
        var states = new Dictionary<int, int>();
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
                states[id] = state;
            }
            node++;
        }
        foreach (int id in _automaton.Controls(_state))
        {
            states[id] = _automaton.NextControl(_state, id);
        }
        return new Allowed(states, _automaton, _automaton.IsAccepting(_state) ? _stopIds : []);
    }

    /// <summary>What may come next in a state.</summary>
    private sealed class Allowed
    {
        public Allowed(Dictionary<int, int> states, GrammarAutomaton automaton, int[] stopIds)
        {
            States = states;
            Tokens = [.. states.Keys.Concat(stopIds).Distinct().Order()];
            // The end costs nothing any more.
            Distances = [.. Tokens.Select(id => states.TryGetValue(id, out int state) ? automaton.Distance(state) : -1)];
            (LeastDistance, MostDistance) = Distances.Length == 0 ? (0, 0) : (Distances.Min(), Distances.Max());
        }

        /// <summary>Where each token leads.</summary>
        public Dictionary<int, int> States { get; }
        public int[] Tokens { get; }

        /// <summary>For each token, how much text is needed at least after it.</summary>
        public long[] Distances { get; }
        public long LeastDistance { get; }
        public long MostDistance { get; }
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
    }

    internal GrammarProgram Program { get; }
}
