using System.Text;

namespace TrainServe.Inference.Constraints;

/// <summary>A part of a grammar over bytes and control tokens. Nodes are immutable but for <see cref="Rule"/>, whose body may mention itself.</summary>
public abstract class GrammarNode
{
    /// <summary>The empty text.</summary>
    public static GrammarNode Empty { get; } = new Sequence([]);

    public static GrammarNode Text(string text) => new Sequence([.. Encoding.UTF8.GetBytes(text).Select(value => (GrammarNode)new Bytes(ByteSet.Of(value)))]);

    public static GrammarNode Join(params IEnumerable<GrammarNode> items) => new Sequence([.. items]);

    public static GrammarNode OneOf(params IEnumerable<GrammarNode> alternatives) => new Choice([.. alternatives]);

    public static GrammarNode Optional(GrammarNode item) => new Repeat(item, 0, 1);

    /// <summary>One byte of a set.</summary>
    public sealed class Bytes(ByteSet set) : GrammarNode
    {
        public ByteSet Set { get; } = set;
    }

    /// <summary>One control token.</summary>
    public sealed class Control(int id) : GrammarNode
    {
        public int Id { get; } = id;
    }

    public sealed class Sequence(IReadOnlyList<GrammarNode> items) : GrammarNode
    {
        public IReadOnlyList<GrammarNode> Items { get; } = items;
    }

    public sealed class Choice(IReadOnlyList<GrammarNode> alternatives) : GrammarNode
    {
        public IReadOnlyList<GrammarNode> Alternatives { get; } = alternatives;
    }

    /// <param name="item">What is repeated.</param>
    /// <param name="least">So often at least.</param>
    /// <param name="most">So often at most; null for no end.</param>
    public sealed class Repeat(GrammarNode item, int least, int? most) : GrammarNode
    {
        public GrammarNode Item { get; } = item;
        public int Least { get; } = least;
        public int? Most { get; } = most;
    }

    /// <summary>Something that is written once and used in several places, itself included.</summary>
    public sealed class Rule : GrammarNode
    {
        public GrammarNode Body { get; set; } = Empty;
    }
}

/// <summary>A set of byte values.</summary>
public readonly record struct ByteSet(ulong A, ulong B, ulong C, ulong D)
{
    public static ByteSet All => new(ulong.MaxValue, ulong.MaxValue, ulong.MaxValue, ulong.MaxValue);

    public static ByteSet Of(params ReadOnlySpan<byte> values)
    {
        var set = default(ByteSet);
        foreach (byte value in values)
        {
            set |= Range(value, value);
        }
        return set;
    }

    public static ByteSet Range(byte least, byte most)
    {
        Span<ulong> words = stackalloc ulong[4];
        for (int value = least; value <= most; value++)
        {
            words[value >> 6] |= 1UL << (value & 63);
        }
        return new ByteSet(words[0], words[1], words[2], words[3]);
    }

    public bool IsEmpty => (A | B | C | D) == 0;

    public bool Contains(byte value) => ((value >> 6) switch { 0 => A, 1 => B, 2 => C, _ => D } & (1UL << (value & 63))) != 0;

    public static ByteSet operator |(ByteSet one, ByteSet other) => new(one.A | other.A, one.B | other.B, one.C | other.C, one.D | other.D);
    public static ByteSet operator &(ByteSet one, ByteSet other) => new(one.A & other.A, one.B & other.B, one.C & other.C, one.D & other.D);
    public static ByteSet operator ~(ByteSet set) => new(~set.A, ~set.B, ~set.C, ~set.D);
}
