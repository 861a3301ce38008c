namespace TrainServe.Inference.Constraints;

/// <summary>Characters that are nothing special in any text: printable ASCII without the quotation mark and the backslash. Most tokens consist of them.</summary>
internal static class PlainText
{
    public const byte First = 0x20, Last = 0x7e;

    public static bool Contains(byte value) => value is >= First and <= Last and not (byte)'"' and not (byte)'\\';

    public static bool ContainsAll(ReadOnlySpan<byte> text)
    {
        foreach (byte value in text)
        {
            if (!Contains(value))
            {
                return false;
            }
        }
        return true;
    }
}
