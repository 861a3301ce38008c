using static TrainServe.Inference.Constraints.GrammarNode;

namespace TrainServe.Inference.Constraints;

/// <summary>Names of properties that a schema does not name itself: of printable ASCII, so that none is a named one in disguise.</summary>
internal static class PropertyNames
{
    private static readonly ByteSet Plain = ByteSet.Range(0x20, 0x7E) & ~ByteSet.Of((byte)'"', (byte)'\\');

    /// <summary>A JSON string that is none of the names.</summary>
    public static GrammarNode Except(IEnumerable<string> names) => Join(Text("\""), After([.. names.Where(name => name.All(char.IsAscii))], 0));

    // What may follow after so many characters that all these names begin with, the last quotation mark included.
    private static GrammarNode After(IReadOnlyList<string> names, int length)
    {
        var any = Join(new Repeat(new Bytes(Plain), 0, null), Text("\""));
        if (names.Count == 0)
        {
            return any;
        }
        var next = names.Where(name => name.Length > length).GroupBy(name => name[length]).ToList();
        var alternatives = new List<GrammarNode>();
        if (!names.Any(name => name.Length == length))
        {
            alternatives.Add(Text("\""));
        }
        var others = Plain & ~ByteSet.Of([.. next.Select(group => (byte)group.Key)]);
        if (!others.IsEmpty)
        {
            alternatives.Add(Join(new Bytes(others), any));
        }
        alternatives.AddRange(next.Where(group => Plain.Contains((byte)group.Key)).Select(group => Join(Text(group.Key.ToString()), After([.. group], length + 1))));
        return OneOf(alternatives);
    }
}
