using System.Text;
using System.Text.Json;

namespace TrainServe.Core.Data;

/// <summary>How a text file is cut into documents.</summary>
public enum DocumentSeparation
{
    /// <summary>At lines that hold <c>&lt;|endoftext|&gt;</c>; a file without such a line is one document, byte for byte.</summary>
    Marker,

    /// <summary>At blank lines.</summary>
    BlankLines,

    /// <summary>Nowhere: the file is one document, byte for byte.</summary>
    None,
}

/// <summary>Streams texts to pretrain on: <c>.txt</c> files, and <c>.jsonl</c> or <c>.json</c> records with a field <c>text</c>, packed or not.</summary>
public static class DocumentReader
{
    // A .NET string cannot be longer.
    private const int MaxDocumentBytes = 1 << 30;
    private static readonly RecordFormat<string>[] Formats = [new("records with a text", record => record.Has("text"), record => record.Text("text"))];

    /// <summary>The documents of files and of the data files in directories, in order. Documents of white space are left out.</summary>
    /// <exception cref="FileNotFoundException">A path does not exist.</exception>
    /// <exception cref="InvalidDataException">A file is empty, is not UTF-8, or is of no known format; the message names file and line. Lenient reading skips bad records of .jsonl files, never damaged text.</exception>
    public static IEnumerable<Document> Read(IEnumerable<string> paths, BadRecords bad, DocumentSeparation separation = DocumentSeparation.Marker)
    {
        var files = DataFiles.Expand(paths);
        return files.Count == 0 ? throw new InvalidDataException("There are no files to read.") : files.SelectMany(file => Read(file, bad, separation));
    }

    /// <inheritdoc cref="Read(IEnumerable{string}, BadRecords, DocumentSeparation)"/>
    public static IEnumerable<Document> Read(string path, BadRecords bad, DocumentSeparation separation = DocumentSeparation.Marker)
    {
        var documents = DataFiles.KindOf(path) == ".txt" ? ReadText(path, separation) : ReadRecords(path, bad);
        return RecordFormat.RequireSome(documents.Where(document => !string.IsNullOrWhiteSpace(document.Text)), path, bad, "text");
    }

    private static IEnumerable<Document> ReadRecords(string path, BadRecords bad) => RecordFormat.Read(path, Formats, bad).Select(record => new Document(record.Value, record.Origin));

    private static IEnumerable<Document> ReadText(string path, DocumentSeparation separation)
    {
        using var lines = new LineReader(path);
        using var pending = new MemoryStream();
        long firstLine = 1;
        bool wasCut = false;
        while (lines.TryRead(out var line, out string? fault))
        {
            if (fault is not null)
            {
                throw new InvalidDataException($"{path}:{lines.Line}: {fault}.");
            }
            if (IsSeparator(line.Span, separation))
            {
                wasCut = true;
                if (pending.Length > 0)
                {
                    yield return Take(pending, path, firstLine, wasCut);
                }
                firstLine = lines.Line + 1;
                continue;
            }
            if (pending.Length + line.Length > MaxDocumentBytes)
            {
                throw new InvalidDataException($"{path}:{firstLine}: the document that starts here is longer than {MaxDocumentBytes:N0} bytes; separate documents by lines of <|endoftext|>.");
            }
            pending.Write(line.Span);
        }
        if (pending.Length > 0)
        {
            yield return Take(pending, path, firstLine, wasCut);
        }
    }

    private static bool IsSeparator(ReadOnlySpan<byte> line, DocumentSeparation separation) => separation switch
    {
        DocumentSeparation.Marker => line.Trim(" \t\r\n"u8).SequenceEqual("<|endoftext|>"u8),
        DocumentSeparation.BlankLines => line.Trim(" \t\r\n"u8).IsEmpty,
        _ => false,
    };

    // The line breaks beside a separator belong to it and not to the text.
    private static Document Take(MemoryStream pending, string path, long firstLine, bool wasCut)
    {
        string text = Encoding.UTF8.GetString(pending.GetBuffer(), 0, (int)pending.Length);
        pending.SetLength(0);
        return new Document(wasCut ? text.Trim('\r', '\n') : text, new RecordOrigin(path, firstLine));
    }
}
