using System.Buffers.Binary;

namespace TrainServe.Training.Data;

/// <summary>The first 64 bytes of a file of tokens, little-endian. The tokens follow, then the documents' starts.</summary>
/// <param name="BytesPerToken">2 (unsigned) or 4.</param>
/// <param name="Tokens">How many.</param>
/// <param name="Documents">How many documents start in this file.</param>
/// <param name="TokenizerSha256">Lower-case hexadecimal.</param>
public sealed record TokenShardHeader(int BytesPerToken, long Tokens, long Documents, string TokenizerSha256)
{
    public const int SizeBytes = 64, Version = 1;
    private const int HashBytes = 32;

    private static ReadOnlySpan<byte> Magic => "TSTOKENS"u8;

    /// <summary>Where the documents' starts begin: after the tokens, at a multiple of 8.</summary>
    public long DocumentsOffset => (SizeBytes + Tokens * BytesPerToken + 7) & ~7L;

    /// <summary>Size of the whole file.</summary>
    public long FileSizeBytes => DocumentsOffset + Documents * sizeof(long);

    /// <summary>Unsigned 16-bit numbers suffice for a vocabulary of 65,536.</summary>
    public static int BytesPerTokenFor(int vocabSize) => vocabSize <= 1 << 16 ? 2 : 4;

    public void Write(Span<byte> destination)
    {
        Magic.CopyTo(destination);
        BinaryPrimitives.WriteInt32LittleEndian(destination[8..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(destination[12..], BytesPerToken);
        BinaryPrimitives.WriteInt64LittleEndian(destination[16..], Tokens);
        BinaryPrimitives.WriteInt64LittleEndian(destination[24..], Documents);
        Convert.FromHexString(TokenizerSha256).CopyTo(destination[32..]);
    }

    /// <exception cref="InvalidDataException">These are not the first bytes of such a file, or its size is another than they say.</exception>
    public static TokenShardHeader Read(ReadOnlySpan<byte> source, string path, long fileSizeBytes)
    {
        if (source.Length < SizeBytes)
        {
            throw new InvalidDataException($"{path} has {fileSizeBytes} bytes; a token file has a header of {SizeBytes}: it was cut short.");
        }
        if (!source.StartsWith(Magic))
        {
            throw new InvalidDataException($"{path} is not a token file: it does not begin with TSTOKENS.");
        }
        int version = BinaryPrimitives.ReadInt32LittleEndian(source[8..]), bytesPerToken = BinaryPrimitives.ReadInt32LittleEndian(source[12..]);
        long tokens = BinaryPrimitives.ReadInt64LittleEndian(source[16..]), documents = BinaryPrimitives.ReadInt64LittleEndian(source[24..]);
        if (version != Version)
        {
            throw new InvalidDataException($"{path} is a token file of version {version}; this build reads version {Version}.");
        }
        if (bytesPerToken is not (2 or 4) || tokens is < 0 or > long.MaxValue / 16 || documents < 0 || documents > tokens)
        {
            throw new InvalidDataException($"{path} has a damaged header: {tokens} tokens of {bytesPerToken} bytes and {documents} documents.");
        }
        var header = new TokenShardHeader(bytesPerToken, tokens, documents, Convert.ToHexStringLower(source.Slice(32, HashBytes)));
        if (header.FileSizeBytes != fileSizeBytes)
        {
            throw new InvalidDataException($"{path} has {fileSizeBytes} bytes where its header says {header.FileSizeBytes}: {(fileSizeBytes < header.FileSizeBytes ? "it was cut short" : "something follows its end")}.");
        }
        return header;
    }
}
