namespace TrainServe.Core.Data;

/// <summary>Recognises what a file holds by its first bytes, so that a message can name it.</summary>
internal static class ContentFormat
{
    private const int Looked = 512;
    private const string Read = ".txt, .jsonl and .json files are read, as they are or packed with gzip (.gz)";

    private static readonly (byte[] Begins, string Name, string Advice)[] Known =
    [
        ([0x1F, 0x8B], "packed with gzip", "let its name end in .gz"),
        ("PAR1"u8.ToArray(), "a Parquet file", "convert it to JSON lines with a field text"),
        ("ARROW1"u8.ToArray(), "an Arrow file", "convert it to JSON lines with a field text"),
        ([0x28, 0xB5, 0x2F, 0xFD], "packed with Zstandard", "unpack it first (zstd -d)"),
        ("BZh"u8.ToArray(), "packed with bzip2", "unpack it first (bunzip2)"),
        ([0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z'], "packed with xz", "unpack it first (unxz)"),
        ([(byte)'P', (byte)'K', 3, 4], "a zip archive", "unpack it first"),
        ("%PDF-"u8.ToArray(), "a PDF file", "take its text out first"),
        ([0xFF, 0xFE], "text in UTF-16", "convert it to UTF-8"),
        ([0xFE, 0xFF], "text in UTF-16", "convert it to UTF-8"),
        ("version https://git-lfs"u8.ToArray(), "a pointer of Git LFS, not the file itself", "fetch it with git lfs pull"),
    ];

    /// <summary>Refuses content that its name does not promise.</summary>
    /// <param name="path">For the message, and its ending.</param>
    /// <param name="file">At its beginning, where it is left.</param>
    /// <exception cref="InvalidDataException">The content is of a known format that is not read, or a .gz is not packed.</exception>
    public static void RequireReadable(string path, FileStream file)
    {
        var buffer = new byte[Looked];
        var first = buffer.AsSpan(0, file.ReadAtLeast(buffer, Looked, throwOnEndOfStream: false));
        file.Position = 0;
        bool isPacked = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);
        foreach (var (begins, name, advice) in Known)
        {
            if (first.StartsWith(begins) && !(isPacked && begins[0] == 0x1F))
            {
                throw new InvalidDataException($"{path} is {name}: {advice}. {Read}.");
            }
        }
        if (isPacked && !first.IsEmpty && first[0] != 0x1F)
        {
            throw new InvalidDataException($"{path} has a name that ends in .gz but is not packed with gzip: let its name end without .gz. {Read}.");
        }
    }

    /// <summary>What the content of a file looks like whose name does not say it, as the end of a sentence.</summary>
    public static string LooksLike(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        RequireReadable(path, file);
        var buffer = new byte[Looked];
        var first = buffer.AsSpan(0, file.ReadAtLeast(buffer, Looked, throwOnEndOfStream: false));
        var begin = first.TrimStart(" \t\r\n\uFEFF"u8);
        return begin.IsEmpty ? "it is empty"
            : begin[0] == (byte)'{' ? "it looks like JSON lines; rename it to end in .jsonl"
            : begin[0] == (byte)'[' ? "it looks like a JSON list; rename it to end in .json"
            : begin.StartsWith("<!DOCTYPE"u8) || begin.StartsWith("<html"u8) ? "it looks like HTML; take its text out first"
            : first.Contains((byte)0) ? "it looks like no text"
            : "it looks like text; rename it to end in .txt";
    }
}
