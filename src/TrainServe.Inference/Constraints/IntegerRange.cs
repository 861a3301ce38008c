using System.Globalization;
using static TrainServe.Inference.Constraints.GrammarNode;

namespace TrainServe.Inference.Constraints;

/// <summary>The grammar of whole numbers between two bounds, digit by digit.</summary>
internal static class IntegerRange
{
    private const int MostDigits = 15;

    /// <param name="least">Null for no bound.</param>
    /// <param name="most">Null for no bound; not below the least.</param>
    public static GrammarNode Make(long? least, long? most)
    {
        long limit = (long)Math.Pow(10, MostDigits) - 1;
        long low = Math.Max(least ?? -limit, -limit), high = Math.Min(most ?? limit, limit);
        var parts = new List<GrammarNode>();
        if (low < 0)
        {
            parts.Add(Join(Text("-"), Natural(Math.Max(1, -high), -low)));
        }
        if (high >= 0)
        {
            parts.Add(Natural(Math.Max(0, low), high));
        }
        return OneOf(parts);
    }

    /// <summary>For each number of digits the numbers of that length.</summary>
    private static GrammarNode Natural(long low, long high)
    {
        var parts = new List<GrammarNode>();
        for (int digits = 1; digits <= MostDigits; digits++)
        {
            long first = digits == 1 ? 0 : (long)Math.Pow(10, digits - 1), last = (long)Math.Pow(10, digits) - 1;
            if (Math.Max(first, low) <= Math.Min(last, high))
            {
                parts.Add(SameLength(Spell(Math.Max(first, low)), Spell(Math.Min(last, high))));
            }
        }
        return OneOf(parts);
    }

    /// <summary>Digits from one text to another of the same length.</summary>
    private static GrammarNode SameLength(string low, string high)
    {
        if (low.Length == 0)
        {
            return Empty;
        }
        if (low.All(digit => digit == '0') && high.All(digit => digit == '9'))
        {
            return new Repeat(JsonGrammar.Digit, low.Length, low.Length);
        }
        if (low[0] == high[0])
        {
            return Join(Text(low[..1]), SameLength(low[1..], high[1..]));
        }
        var parts = new List<GrammarNode> { Join(Text(low[..1]), SameLength(low[1..], new string('9', low.Length - 1))) };
        if (high[0] - low[0] > 1)
        {
            parts.Add(Join(new Bytes(ByteSet.Range((byte)(low[0] + 1), (byte)(high[0] - 1))), new Repeat(JsonGrammar.Digit, low.Length - 1, low.Length - 1)));
        }
        parts.Add(Join(Text(high[..1]), SameLength(new string('0', low.Length - 1), high[1..])));
        return OneOf(parts);
    }

    private static string Spell(long value) => value.ToString(CultureInfo.InvariantCulture);
}
