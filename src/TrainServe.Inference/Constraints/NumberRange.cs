using static TrainServe.Inference.Constraints.GrammarNode;

namespace TrainServe.Inference.Constraints;

/// <summary>The grammar of numbers with fractions between two whole bounds, without exponents.</summary>
internal static class NumberRange
{
    private const int MostDigits = 15;

    private static GrammarNode Fraction { get; } = Join(Text("."), new Repeat(JsonGrammar.Digit, 1, MostDigits));
    private static GrammarNode ZeroFraction { get; } = Join(Text("."), new Repeat(Text("0"), 1, MostDigits));

    // A digit that is not 0 stands in it somewhere.
    private static GrammarNode SomeFraction { get; } = Join(Text("."), new Repeat(Text("0"), 0, MostDigits - 1), new Bytes(ByteSet.Range((byte)'1', (byte)'9')), new Repeat(JsonGrammar.Digit, 0, MostDigits - 1));

    /// <param name="least">Null for no bound.</param>
    /// <param name="leastExcluded">Whether the bound itself is out.</param>
    /// <param name="most">Null for no bound.</param>
    /// <param name="mostExcluded">Whether the bound itself is out.</param>
    /// <returns>Null where there is no such number.</returns>
    public static GrammarNode? Make(long? least, bool leastExcluded, long? most, bool mostExcluded)
    {
        var parts = new List<GrammarNode>();
        if (most is not < 0)
        {
            parts.AddRange(Sizes(Math.Max(least ?? 0, 0), leastExcluded && least >= 0, most, mostExcluded));
        }
        if (least is not >= 0)
        {
            // Below 0 the bounds change places.
            parts.AddRange(Sizes(Math.Max(-(most ?? 0), 0), (mostExcluded && most <= 0) || most is not < 0, -least, leastExcluded).Select(size => Join(Text("-"), size)));
        }
        return parts.Count == 0 ? null : OneOf(parts);
    }

    private static IEnumerable<GrammarNode> Sizes(long least, bool leastExcluded, long? most, bool mostExcluded)
    {
        if (most is { } end && (end < least || (end == least && (leastExcluded || mostExcluded))))
        {
            yield break;
        }
        if (most == least)
        {
            yield return Join(IntegerRange.Make(least, least), Optional(ZeroFraction));
            yield break;
        }
        yield return Join(IntegerRange.Make(least, least), leastExcluded ? SomeFraction : Optional(Fraction));
        if (most is null || least + 1 <= most - 1)
        {
            yield return Join(IntegerRange.Make(least + 1, most - 1), Optional(Fraction));
        }
        if (most is { } last && !mostExcluded)
        {
            yield return Join(IntegerRange.Make(last, last), Optional(ZeroFraction));
        }
    }
}
