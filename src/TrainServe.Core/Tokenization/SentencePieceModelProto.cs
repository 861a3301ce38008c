using System.Text;

namespace TrainServe.Core.Tokenization;

/// <summary>Writes the few fields of SentencePiece's <c>ModelProto</c> (sentencepiece_model.proto) that its BPE needs, in protobuf's wire format.</summary>
internal static class SentencePieceModelProto
{
    public enum PieceType
    {
        Normal = 1,
        Control = 3,
        Byte = 6,
    }

    public readonly record struct Piece(string Text, float Score, PieceType Type);

    /// <param name="pieces">The vocabulary in the order of ids.</param>
    /// <param name="addDummyPrefix">Whether a text is encoded as if a space stood before it.</param>
    public static byte[] Write(IReadOnlyList<Piece> pieces, bool addDummyPrefix)
    {
        using var model = new MemoryStream();
        foreach (var piece in pieces)
        {
            using var message = new MemoryStream();
            WriteBytes(message, 1, Encoding.UTF8.GetBytes(piece.Text));
            WriteTag(message, 2, wireType: 5);
            message.Write(BitConverter.IsLittleEndian ? BitConverter.GetBytes(piece.Score) : [.. BitConverter.GetBytes(piece.Score).Reverse()]);
            WriteNumber(message, 3, (uint)piece.Type);
            WriteBytes(model, 1, message.ToArray());
        }
        using (var trainer = new MemoryStream())
        {
            const uint bytePairEncoding = 2;
            WriteNumber(trainer, 3, bytePairEncoding); // model_type
            WriteNumber(trainer, 35, 1); // byte_fallback
            WriteNumber(trainer, 40, (uint)pieces.Count); // unk_id: no real token may be taken for "unknown", which is what goes to bytes
            WriteBytes(model, 2, trainer.ToArray());
        }
        using (var normalizer = new MemoryStream())
        {
            WriteBytes(normalizer, 1, "identity"u8); // name
            WriteNumber(normalizer, 3, addDummyPrefix ? 1u : 0u); // add_dummy_prefix
            WriteNumber(normalizer, 4, 0); // remove_extra_whitespaces
            WriteNumber(normalizer, 5, 1); // escape_whitespaces
            WriteBytes(model, 3, normalizer.ToArray());
        }
        return model.ToArray();
    }

    private static void WriteTag(Stream stream, int field, int wireType) => WriteVariable(stream, (uint)((field << 3) | wireType));

    private static void WriteNumber(Stream stream, int field, uint value)
    {
        WriteTag(stream, field, wireType: 0);
        WriteVariable(stream, value);
    }

    private static void WriteBytes(Stream stream, int field, ReadOnlySpan<byte> value)
    {
        WriteTag(stream, field, wireType: 2);
        WriteVariable(stream, (uint)value.Length);
        stream.Write(value);
    }

    private static void WriteVariable(Stream stream, uint value)
    {
        for (; value >= 0x80; value >>= 7)
        {
            stream.WriteByte((byte)(value | 0x80));
        }
        stream.WriteByte((byte)value);
    }
}
