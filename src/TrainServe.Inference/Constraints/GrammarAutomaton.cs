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
    private readonly List<State> _states = [];
    private readonly Dictionary<Place[], int> _ids = new(new PlacesComparer());

    // Stacks are linked lists that share their lower parts; each exists once. Number 0 is the empty one.
    private readonly List<(int Return, int Below, long Distance)> _stacks = [(0, 0, 0)];
    private readonly Dictionary<(int Return, int Below), int> _stackIds = [];

    public GrammarAutomaton(GrammarProgram program)
    {
        _program = program;
        Start = Close([new Place(program.Start, NoStack)]);
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
            int found = Move(state, instruction => instruction.Op == GrammarProgram.Op.Bytes && instruction.Set.Contains(value));
            _states[state].Next[value] = found;
            return found;
        }
        return next;
    }

    public int NextControl(int state, int id) => Move(state, instruction => instruction.Op == GrammarProgram.Op.Control && instruction.Operand == id);

    /// <summary>The same state in an automaton that knows nothing else.</summary>
    public (GrammarAutomaton Automaton, int State) Fresh(int state)
    {
        var fresh = new GrammarAutomaton(_program);
        var places = _states[state].Places.Select(place => new Place(place.Instruction, fresh.Copy(this, place.Stack))).ToList();
        return (fresh, fresh.Intern(places, _states[state].Accepting));
    }

    private int Copy(GrammarAutomaton from, int stack) =>
        stack == NoStack ? NoStack : Push(from._stacks[stack].Return, Copy(from, from._stacks[stack].Below));

    private int Move(int state, Func<GrammarProgram.Instruction, bool> takes)
    {
        List<Place>? reached = null;
        foreach (var place in _states[state].Places)
        {
            var instruction = _program.Code[place.Instruction];
            if (takes(instruction))
            {
                (reached ??= []).Add(new Place(instruction.Next, place.Stack));
            }
        }
        return reached is null ? Dead : Close(reached);
    }

    /// <summary>Goes on from places to all instructions that take something.</summary>
    private int Close(List<Place> open)
    {
        var seen = new HashSet<Place>(open);
        var places = new List<Place>();
        bool accepting = false;
        while (open.Count > 0)
        {
            var place = open[^1];
            open.RemoveAt(open.Count - 1);
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
                    places.Add(place);
                    break;
            }
        }
        return places.Count == 0 && !accepting ? Dead : Intern(places, accepting);

        void Add(Place place)
        {
            if (seen.Count > MostStates)
            {
                throw new GrammarTooLargeException(); // a rule that calls itself before it takes anything
            }
            if (seen.Add(place))
            {
                open.Add(place);
            }
        }
    }

    private int Intern(List<Place> places, bool accepting)
    {
        // The place without an instruction that takes something stands for the end.
        var key = places.OrderBy(place => place.Instruction).ThenBy(place => place.Stack).Concat(accepting ? [new Place(GrammarProgram.Accept, NoStack)] : []).ToArray();
        if (!_ids.TryGetValue(key, out int id))
        {
            long distance = accepting ? 0 : places.Min(place => _program.Distances[place.Instruction] + _stacks[place.Stack].Distance);
            _ids[key] = id = _states.Count;
            _states.Add(new State([.. places], accepting, distance));
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
    }

    private sealed class PlacesComparer : IEqualityComparer<Place[]>
    {
        public bool Equals(Place[]? one, Place[]? other) => one.AsSpan().SequenceEqual(other);

        public int GetHashCode(Place[] places)
        {
            var hash = new HashCode();
            foreach (var place in places)
            {
                hash.Add(place);
            }
            return hash.ToHashCode();
        }
    }
}
