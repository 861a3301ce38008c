using System.Runtime.InteropServices;

namespace TrainServe.Inference.Constraints;

/// <summary>Follows a text through a grammar. States are made when they are first reached and remembered, so that most steps are a look into a table.</summary>
/// <remarks>A state is a set of places, each an instruction that takes something and a stack of calls. Not safe for use from several threads.</remarks>
internal sealed class GrammarAutomaton
{
    /// <summary>No text that keeps to the grammar goes on like this.</summary>
    public const int Dead = -1;

    private const int NotYetKnown = -2, MostStates = 100_000, NoStack = 0;
    private readonly GrammarProgram _program;

    // Reused from step to step.
    private readonly List<Place> _open = [], _places = [];
    private readonly HashSet<Place> _seen = [];
    private readonly List<State> _states = [];
    private readonly Dictionary<Place[], int>.AlternateLookup<ReadOnlySpan<Place>> _idsBySpan = new Dictionary<Place[], int>(new PlacesComparer()).GetAlternateLookup<ReadOnlySpan<Place>>();

    // Stacks are linked lists that share their lower parts; each exists once. Number 0 is the empty one.
    private readonly List<(int Return, int Below, long Distance)> _stacks = [(0, 0, 0)];
    private readonly Dictionary<(int Return, int Below), int> _stackIds = [];

    public GrammarAutomaton(GrammarProgram program)
    {
        _program = program;
        _open.Add(new Place(program.Start, NoStack));
        Start = Close();
    }

    public int Start { get; }

    /// <summary>So many states that it is better to begin anew.</summary>
    public bool IsFull => _states.Count > MostStates;

    /// <summary>Whether the text may end here.</summary>
    public bool IsAccepting(int state) => _states[state].Accepting;

    /// <summary>How many bytes and control tokens are needed at least to a place where the text may end.</summary>
    public long Distance(int state) => _states[state].Distance;

    /// <summary>Control tokens that may come next.</summary>
    public IEnumerable<int> Controls(int state) =>
        _states[state].Places.Select(place => _program.Code[place.Instruction]).Where(instruction => instruction.Op == GrammarProgram.Op.Control).Select(instruction => instruction.Operand).Distinct();

    public int Next(int state, byte value)
    {
        ref int next = ref _states[state].Next[value];
        if (next == NotYetKnown)
        {
            int found = Move(_states[state], GrammarProgram.Op.Bytes, value);
            _states[state].Next[value] = found;
            return found;
        }
        return next;
    }

    public int NextControl(int state, int id) => Move(_states[state], GrammarProgram.Op.Control, id);

    /// <summary>Where every plain character leads alike; <see cref="Dead"/> where they lead to different states, or nowhere.</summary>
    public int AfterAnyPlain(int state)
    {
        var from = _states[state];
        if (from.AfterPlain == NotYetKnown)
        {
            int first = Next(state, PlainText.First);
            bool isAlike = first != Dead;
            for (int value = PlainText.First + 1; isAlike && value <= PlainText.Last; value++)
            {
                isAlike = !PlainText.Contains((byte)value) || Next(state, (byte)value) == first;
            }
            from.AfterPlain = isAlike ? first : Dead;
        }
        return from.AfterPlain;
    }

    /// <summary>Whether no plain character may come next.</summary>
    public bool TakesNoPlain(int state)
    {
        for (int value = PlainText.First; value <= PlainText.Last; value++)
        {
            if (PlainText.Contains((byte)value) && Next(state, (byte)value) != Dead)
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>The same state in an automaton that knows nothing else.</summary>
    public (GrammarAutomaton Automaton, int State) Fresh(int state)
    {
        var fresh = new GrammarAutomaton(_program);
        var places = _states[state].Places.Select(place => new Place(place.Instruction, fresh.Copy(this, place.Stack))).ToList();
        return (fresh, fresh.Intern(places, _states[state].Accepting));
    }

    private int Copy(GrammarAutomaton from, int stack) =>
        stack == NoStack ? NoStack : Push(from._stacks[stack].Return, Copy(from, from._stacks[stack].Below));

    private int Move(State state, GrammarProgram.Op op, int operand)
    {
        foreach (var place in state.Places)
        {
            var instruction = _program.Code[place.Instruction];
            if (instruction.Op == op && (op == GrammarProgram.Op.Bytes ? instruction.Set.Contains((byte)operand) : instruction.Operand == operand))
            {
                _open.Add(new Place(instruction.Next, place.Stack));
            }
        }
        return _open.Count == 0 ? Dead : Close();
    }

    /// <summary>Goes on from the open places to all instructions that take something.</summary>
    private int Close()
    {
        _seen.Clear();
        _places.Clear();
        foreach (var place in _open)
        {
            _seen.Add(place);
        }
        bool accepting = false;
        while (_open.Count > 0)
        {
            var place = _open[^1];
            _open.RemoveAt(_open.Count - 1);
            var instruction = _program.Code[place.Instruction];
            switch (instruction.Op)
            {
                case GrammarProgram.Op.Accept:
                    accepting = true;
                    break;
                case GrammarProgram.Op.Return:
                    var (target, below, _) = _stacks[place.Stack];
                    Add(new Place(target, below));
                    break;
                case GrammarProgram.Op.Split:
                    foreach (int branch in instruction.Branches)
                    {
                        Add(new Place(branch, place.Stack));
                    }
                    break;
                case GrammarProgram.Op.Call:
                    // A call with which a rule ends needs no place to return to.
                    int stack = instruction.Next == GrammarProgram.Return ? place.Stack : Push(instruction.Next, place.Stack);
                    Add(new Place(_program.StartOf(instruction.Operand), stack));
                    break;
                default:
                    _places.Add(place);
                    break;
            }
        }
        return _places.Count == 0 && !accepting ? Dead : Intern(_places, accepting);

        void Add(Place place)
        {
            if (_seen.Count > MostStates)
            {
                _open.Clear();
                throw new GrammarTooLargeException(); // a rule that calls itself before it takes anything
            }
            if (_seen.Add(place))
            {
                _open.Add(place);
            }
        }
    }

    private int Intern(List<Place> places, bool accepting)
    {
        // The place without an instruction that takes something stands for the end.
        int count = places.Count;
        places.Sort(static (one, other) => one.Instruction != other.Instruction ? one.Instruction - other.Instruction : one.Stack - other.Stack);
        if (accepting)
        {
            places.Add(new Place(GrammarProgram.Accept, NoStack));
        }
        var key = CollectionsMarshal.AsSpan(places);
        if (!_idsBySpan.TryGetValue(key, out int id))
        {
            long distance = accepting ? 0 : long.MaxValue;
            foreach (var place in key[..(accepting ? 0 : count)])
            {
                distance = Math.Min(distance, _program.Distances[place.Instruction] + _stacks[place.Stack].Distance);
            }
            id = _states.Count;
            _idsBySpan[key] = id;
            _states.Add(new State(key[..count].ToArray(), accepting, distance));
        }
        return id;
    }

    private int Push(int target, int below)
    {
        ref int id = ref CollectionsMarshal.GetValueRefOrAddDefault(_stackIds, (target, below), out bool exists);
        if (!exists)
        {
            id = _stacks.Count;
            _stacks.Add((target, below, _program.Distances[target] + _stacks[below].Distance));
        }
        return id;
    }

    private readonly record struct Place(int Instruction, int Stack);

    private sealed class State
    {
        public State(Place[] places, bool accepting, long distance)
        {
            (Places, Accepting, Distance) = (places, accepting, distance);
            Array.Fill(Next, NotYetKnown);
        }

        public Place[] Places { get; }
        public bool Accepting { get; }
        public long Distance { get; }
        public int[] Next { get; } = new int[256];

        /// <inheritdoc cref="AfterAnyPlain"/>
        public int AfterPlain { get; set; } = NotYetKnown;
    }

    private sealed class PlacesComparer : IEqualityComparer<Place[]>, IAlternateEqualityComparer<ReadOnlySpan<Place>, Place[]>
    {
        public bool Equals(Place[]? one, Place[]? other) => one.AsSpan().SequenceEqual(other);

        public bool Equals(ReadOnlySpan<Place> alternate, Place[] other) => alternate.SequenceEqual(other);

        public Place[] Create(ReadOnlySpan<Place> alternate) => alternate.ToArray();

        public int GetHashCode(Place[] places) => GetHashCode(places.AsSpan());

        public int GetHashCode(ReadOnlySpan<Place> places)
        {
            var hash = new HashCode();
            hash.AddBytes(MemoryMarshal.AsBytes(places));
            return hash.ToHashCode();
        }
    }
}
