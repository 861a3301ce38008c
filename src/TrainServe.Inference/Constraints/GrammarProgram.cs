namespace TrainServe.Inference.Constraints;

/// <summary>A grammar compiled to instructions of a machine with a stack: Thompson's construction, and calls where rules may be recursive.</summary>
internal sealed class GrammarProgram
{
    /// <summary>Where every text that keeps to the grammar ends.</summary>
    public const int Accept = 0;

    /// <summary>Where a rule ends: what called it goes on.</summary>
    public const int Return = 1;

    /// <summary>The distance of what never comes to an end.</summary>
    public const long Endless = long.MaxValue / 4;

    private const int MostInstructions = 100_000, MostDepth = 256;
    private readonly List<Instruction> _code = [new(Op.Accept, default, 0, 0, []), new(Op.Return, default, 0, 0, [])];
    private readonly Dictionary<GrammarNode.Rule, int> _rules = [];
    private readonly List<int> _ruleStarts = [];
    private int _depth;

    private GrammarProgram()
    {
    }

    public int Start { get; private set; }
    public IReadOnlyList<Instruction> Code => _code;

    /// <summary>For each instruction, how many bytes and control tokens lie at least between it and the end of its rule.</summary>
    public long[] Distances { get; private set; } = [];

    /// <exception cref="GrammarTooLargeException">The grammar needs more instructions, or is nested deeper, than is allowed.</exception>
    public static GrammarProgram Compile(GrammarNode root)
    {
        var program = new GrammarProgram();
        program.Start = program.Compile(root, Accept);
        program.Distances = program.MeasureDistances();
        return program;
    }

    public int StartOf(int rule) => _ruleStarts[rule];

    private int Compile(GrammarNode node, int next)
    {
        if (++_depth > MostDepth)
        {
            throw new GrammarTooLargeException();
        }
        int start = node switch
        {
            GrammarNode.Bytes bytes => Emit(new Instruction(Op.Bytes, bytes.Set, 0, next, [])),
            GrammarNode.Control control => Emit(new Instruction(Op.Control, default, control.Id, next, [])),
            GrammarNode.Sequence sequence => sequence.Items.Reverse().Aggregate(next, (after, item) => Compile(item, after)),
            GrammarNode.Choice choice => choice.Alternatives.Count == 1
                ? Compile(choice.Alternatives[0], next)
                : Emit(new Instruction(Op.Split, default, 0, 0, [.. choice.Alternatives.Select(alternative => Compile(alternative, next))])),
            GrammarNode.Repeat repeat => Compile(repeat, next),
            GrammarNode.Rule rule => Emit(new Instruction(Op.Call, default, Number(rule), next, [])),
            _ => throw new ArgumentException($"{node.GetType().Name} is not a part of a grammar.", nameof(node)),
        };
        _depth--;
        return start;
    }

    private int Compile(GrammarNode.Repeat repeat, int next)
    {
        int start = next;
        if (repeat.Most is null)
        {
            start = Emit(default);
            _code[start] = new Instruction(Op.Split, default, 0, 0, [Compile(repeat.Item, start), next]);
        }
        for (int i = repeat.Least; i < (repeat.Most ?? repeat.Least); i++)
        {
            start = Emit(new Instruction(Op.Split, default, 0, 0, [Compile(repeat.Item, start), next]));
        }
        for (int i = 0; i < repeat.Least; i++)
        {
            start = Compile(repeat.Item, start);
        }
        return start;
    }

    private int Number(GrammarNode.Rule rule)
    {
        if (!_rules.TryGetValue(rule, out int number))
        {
            _rules[rule] = number = _ruleStarts.Count;
            _ruleStarts.Add(-1);
            _ruleStarts[number] = Compile(rule.Body, Return);
        }
        return number;
    }

    private int Emit(Instruction instruction)
    {
        if (_code.Count == MostInstructions)
        {
            throw new GrammarTooLargeException();
        }
        _code.Add(instruction);
        return _code.Count - 1;
    }

    private long[] MeasureDistances()
    {
        long[] distances = new long[_code.Count];
        Array.Fill(distances, Endless);
        (distances[Accept], distances[Return]) = (0, 0);
        for (bool changed = true; changed;)
        {
            changed = false;
            for (int pc = 2; pc < distances.Length; pc++)
            {
                var instruction = _code[pc];
                long distance = instruction.Op switch
                {
                    Op.Split => instruction.Branches.Min(branch => distances[branch]),
                    Op.Call => distances[_ruleStarts[instruction.Operand]] + distances[instruction.Next],
                    _ => 1 + distances[instruction.Next],
                };
                if (distance < distances[pc])
                {
                    (distances[pc], changed) = (distance, true);
                }
            }
        }
        return distances;
    }

    public enum Op
    {
        Accept,
        Return,

        /// <summary>Takes one byte.</summary>
        Bytes,

        /// <summary>Takes the control token of the operand.</summary>
        Control,

        /// <summary>Goes on at each of the branches.</summary>
        Split,

        /// <summary>Goes on in the rule of the operand, and after it at the next.</summary>
        Call,
    }

    public readonly record struct Instruction(Op Op, ByteSet Set, int Operand, int Next, int[] Branches);
}

/// <summary>A grammar is larger than this program wants to work with, or has no text that ends.</summary>
public sealed class GrammarTooLargeException(string message = "The grammar is too large or nested too deeply.") : Exception(message);
