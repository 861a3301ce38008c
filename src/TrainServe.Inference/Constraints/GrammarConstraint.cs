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
        if (!AddPlain(allowed))
        {
            Walk(_trie.Plain, allowed);
        }
        Walk(_trie.Other, allowed);
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

    /// <summary>Inside a text, where one plain character is as good as another, only the length of a token counts, and none has to be spelled.</summary>
    /// <returns>Whether it is so.</returns>
    private bool AddPlain(Allowed allowed)
    {
        int length = 0, most = _trie.Plain.MostDepth;
        for (int state = _state; length < most; length++)
        {
            int next = _automaton.AfterAnyPlain(state);
            if (next == GrammarAutomaton.Dead)
            {
                if (!_automaton.TakesNoPlain(state))
                {
                    return false;
                }
                break;
            }
            _path[length + 1] = state = next;
        }
        bool fits = true;
        for (int i = 1; i <= length; i++)
        {
            fits &= _automaton.Distance(_path[i]) <= allowed.Limit;
        }
        if (fits)
        {
            allowed.Add(_trie.PlainUpToLength(length));
        }
        for (int i = 1; i <= length; i++)
        {
            if (_trie.PlainOfLength(i) is { } tokens)
            {
                allowed.Add(fits ? null : tokens, _automaton.Distance(_path[i]));
            }
        }
        return true;
    }

    private void Walk(TokenTree tree, Allowed allowed)
    {
        _path[0] = _state;
        var nodes = tree.Nodes;
        for (int index = 0; index < nodes.Length;)
        {
            ref readonly var node = ref nodes[index];
            int state = _automaton.Next(_path[node.Depth - 1], node.Byte);
            if (state == GrammarAutomaton.Dead)
            {
                index = node.End;
                continue;
            }
            _path[node.Depth] = state;
            if (node.Tokens > 0)
            {
                long distance = _automaton.Distance(state);
                foreach (int id in tree.Tokens(node))
                {
                    allowed.Add(id, distance);
                }
            }
            index++;
        }
    }

    /// <summary>Tokens that may come next, and how much text is needed at least after them.</summary>
    private sealed class Allowed(int vocabSize, long limit)
    {
        private readonly TokenSet _tokens = new(vocabSize);

        /// <summary>The most text that may be needed after a token.</summary>
        public long Limit => limit;
        public long LeastDistance { get; private set; } = long.MaxValue;
        public long MostDistance { get; private set; } = EndDistance;

        public void Add(int id, long distance)
        {
            if (distance <= limit && id < vocabSize)
            {
                _tokens.Add(id);
                Count(distance);
            }
        }

        public void Add(TokenSet tokens) => _tokens.Add(tokens);

        /// <param name="tokens">Null where they were added before.</param>
        /// <param name="distance">After each of them.</param>
        public void Add(TokenSet? tokens, long distance)
        {
            if (distance <= limit)
            {
                if (tokens is not null)
                {
                    _tokens.Add(tokens);
                }
                Count(distance);
            }
        }

        /// <inheritdoc cref="TokenSet.Keep"/>
        public void Keep(Span<float> logits) => _tokens.Keep(logits);

        private void Count(long distance)
        {
            LeastDistance = Math.Min(LeastDistance, distance);
            MostDistance = Math.Max(MostDistance, distance);
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
