using System.Text;
using System.Text.Json;

namespace TrainServe.Inference.Constraints;

/// <summary>The grammar of JSON values. Numbers are short enough for every reader, and white space is one space after a comma or a colon at most.</summary>
public static class JsonGrammar
{
    private const int MostDigits = 15;

    public static GrammarNode Digit { get; } = new GrammarNode.Bytes(ByteSet.Range((byte)'0', (byte)'9'));

    /// <summary>One character above ASCII, as well-formed UTF-8.</summary>
    public static GrammarNode NonAscii { get; } = GrammarNode.OneOf(
        Ranges((0xC2, 0xDF), (0x80, 0xBF)),
        Ranges((0xE0, 0xE0), (0xA0, 0xBF), (0x80, 0xBF)),
        Ranges((0xE1, 0xEC), (0x80, 0xBF), (0x80, 0xBF)),
        Ranges((0xED, 0xED), (0x80, 0x9F), (0x80, 0xBF)),
        Ranges((0xEE, 0xEF), (0x80, 0xBF), (0x80, 0xBF)),
        Ranges((0xF0, 0xF0), (0x90, 0xBF), (0x80, 0xBF), (0x80, 0xBF)),
        Ranges((0xF1, 0xF3), (0x80, 0xBF), (0x80, 0xBF), (0x80, 0xBF)),
        Ranges((0xF4, 0xF4), (0x80, 0x8F), (0x80, 0xBF), (0x80, 0xBF)));

    /// <summary>One character of a string, as it is written between the quotation marks.</summary>
    public static GrammarNode Character { get; } = GrammarNode.OneOf(
        new GrammarNode.Bytes(ByteSet.Range(0x20, 0x7E) & ~ByteSet.Of((byte)'"', (byte)'\\')),
        NonAscii,
        GrammarNode.Join(GrammarNode.Text("\\"), new GrammarNode.Bytes(ByteSet.Of("\"\\/bfnrt"u8))),
        // Escaped characters other than halves of pairs.
        GrammarNode.Join(GrammarNode.Text("\\u"), GrammarNode.OneOf(
            GrammarNode.Join(new GrammarNode.Bytes(Hex & ~ByteSet.Of((byte)'d', (byte)'D')), HexDigit, HexDigit, HexDigit),
            GrammarNode.Join(new GrammarNode.Bytes(ByteSet.Of((byte)'d', (byte)'D')), new GrammarNode.Bytes(ByteSet.Range((byte)'0', (byte)'7')), HexDigit, HexDigit))));

    public static GrammarNode AnyString { get; } = String(0, null);

    public static GrammarNode Integer { get; } = GrammarNode.Join(GrammarNode.Optional(GrammarNode.Text("-")), Natural(MostDigits));

    /// <summary>A number with or without fraction and exponent, 0 or above.</summary>
    public static GrammarNode NaturalNumber { get; } = GrammarNode.Join(
        Natural(MostDigits),
        GrammarNode.Optional(GrammarNode.Join(GrammarNode.Text("."), new GrammarNode.Repeat(Digit, 1, MostDigits))),
        GrammarNode.Optional(GrammarNode.Join(new GrammarNode.Bytes(ByteSet.Of((byte)'e', (byte)'E')), GrammarNode.Optional(new GrammarNode.Bytes(ByteSet.Of((byte)'+', (byte)'-'))), new GrammarNode.Repeat(Digit, 1, 2))));

    public static GrammarNode Number { get; } = GrammarNode.Join(GrammarNode.Optional(GrammarNode.Text("-")), NaturalNumber);

    public static GrammarNode Boolean { get; } = GrammarNode.OneOf(GrammarNode.Text("true"), GrammarNode.Text("false"));
    public static GrammarNode Null { get; } = GrammarNode.Text("null");
    public static GrammarNode Comma { get; } = GrammarNode.Join(GrammarNode.Text(","), GrammarNode.Optional(GrammarNode.Text(" ")));
    public static GrammarNode Colon { get; } = GrammarNode.Join(GrammarNode.Text(":"), GrammarNode.Optional(GrammarNode.Text(" ")));

    /// <summary>Any value.</summary>
    public static GrammarNode Value { get; } = MakeValue();

    /// <summary>Any object.</summary>
    public static GrammarNode Object { get; } = Map(Value);

    private static ByteSet Hex => ByteSet.Range((byte)'0', (byte)'9') | ByteSet.Range((byte)'a', (byte)'f') | ByteSet.Range((byte)'A', (byte)'F');

    private static GrammarNode HexDigit => new GrammarNode.Bytes(Hex);

    /// <summary>A string of so many characters.</summary>
    public static GrammarNode String(int least, int? most) => GrammarNode.Join(GrammarNode.Text("\""), new GrammarNode.Repeat(Character, least, most), GrammarNode.Text("\""));

    /// <summary>An object whose properties have any name and this value.</summary>
    public static GrammarNode Map(GrammarNode value)
    {
        var property = GrammarNode.Join(AnyString, Colon, value);
        return GrammarNode.Join(GrammarNode.Text("{"), GrammarNode.Optional(GrammarNode.Join(property, new GrammarNode.Repeat(GrammarNode.Join(Comma, property), 0, null))), GrammarNode.Text("}"));
    }

    public static GrammarNode Array(GrammarNode item, int least, int? most)
    {
        if (most == 0)
        {
            return GrammarNode.Text("[]");
        }
        var items = GrammarNode.Join(item, new GrammarNode.Repeat(GrammarNode.Join(Comma, item), Math.Max(0, least - 1), most - 1));
        return GrammarNode.Join(GrammarNode.Text("["), least == 0 ? GrammarNode.Optional(items) : items, GrammarNode.Text("]"));
    }

    /// <summary>Exactly this value, written without white space.</summary>
    public static GrammarNode Constant(JsonElement value) => GrammarNode.Text(JsonSerializer.Serialize(value, Relaxed.Options));

    /// <summary>A text as a JSON string.</summary>
    public static GrammarNode Constant(string value) => GrammarNode.Text(Relaxed.Write(value));

    /// <summary>0, or digits that do not begin with 0.</summary>
    internal static GrammarNode Natural(int mostDigits) => GrammarNode.OneOf(
        GrammarNode.Text("0"),
        GrammarNode.Join(new GrammarNode.Bytes(ByteSet.Range((byte)'1', (byte)'9')), new GrammarNode.Repeat(Digit, 0, mostDigits - 1)));

    private static GrammarNode MakeValue()
    {
        var value = new GrammarNode.Rule();
        value.Body = GrammarNode.OneOf(Map(value), Array(value, 0, null), AnyString, Number, Boolean, Null);
        return value;
    }

    private static GrammarNode Ranges(params (byte Least, byte Most)[] bytes) =>
        GrammarNode.Join(bytes.Select(range => new GrammarNode.Bytes(ByteSet.Range(range.Least, range.Most))));

    private static class Relaxed
    {
        public static readonly JsonSerializerOptions Options = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

        public static string Write(string value) => JsonSerializer.Serialize(value, Options);
    }
}
