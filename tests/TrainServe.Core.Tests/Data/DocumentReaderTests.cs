using System.Text;
using CsCheck;
using TrainServe.Core.Data;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Data;

public sealed class DocumentReaderTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    private string Write(string name, byte[] content) => _directory.WriteBytes(name, content);

    [Theory]
    [InlineData("one\ntwo\n<|endoftext|>\nthree\n\nfour\n<|endoftext|>\n", DocumentSeparation.Marker, new[] { "one\ntwo", "three\n\nfour" }, new long[] { 1, 4 })]
    [InlineData("one\r\n<|endoftext|>\r\n\r\n  two", DocumentSeparation.Marker, new[] { "one", "  two" }, new long[] { 1, 3 })]
    [InlineData("<|endoftext|>\n<|endoftext|>\n \n<|endoftext|>\none", DocumentSeparation.Marker, new[] { "one" }, new long[] { 5 })]
    [InlineData("\none\r\n\n two \n", DocumentSeparation.Marker, new[] { "\none\r\n\n two \n" }, new long[] { 1 })]
    [InlineData("one\n<|endoftext|>\n", DocumentSeparation.None, new[] { "one\n<|endoftext|>\n" }, new long[] { 1 })]
    [InlineData("one\ntwo\n\n \nthree", DocumentSeparation.BlankLines, new[] { "one\ntwo", "three" }, new long[] { 1, 5 })]
    public void Text_is_cut_where_the_separation_says(string text, DocumentSeparation separation, string[] documents, long[] lines)
    {
        foreach (string path in new[] { Write("text.txt", text), Write("text.txt.gz", text) })
        {
            var read = DocumentReader.Read(path, BadRecords.Strict(), separation).ToArray();
            Assert.Equal(documents, read.Select(document => document.Text));
            Assert.Equal(lines, read.Select(document => document.Origin.Line));
        }
    }

    [Fact]
    public void A_file_without_markers_is_read_byte_for_byte() => Tokenization.Texts.Any.Where(text => !string.IsNullOrWhiteSpace(text) && text[0] != '\uFEFF' && !text.Contains("<|endoftext|>")).Sample(text =>
        Assert.Equal(text, Assert.Single(DocumentReader.Read(Write("text.txt", text), BadRecords.Strict())).Text), iter: 200, threads: 1);

    [Fact]
    public void Records_give_their_text()
    {
        string path = Write("books.jsonl.gz", "{\"id\":1,\"text\":\"one\"}\n{\"text\":\"two\\n\"}\n");
        Assert.Equal(["one", "two\n"], DocumentReader.Read(path, BadRecords.Strict()).Select(document => document.Text));
    }

    [Fact]
    public void Damaged_text_is_named_with_file_and_line_also_when_reading_is_lenient()
    {
        string path = Write("text.txt", [.. "one\ntwo "u8, 0xFF, .. "\n"u8]);
        Assert.Equal($"{path}:2: the line is not valid UTF-8 at its byte 5.", Assert.Throws<InvalidDataException>(() => DocumentReader.Read([path], BadRecords.Lenient()).Count()).Message);
    }

    [Fact]
    public void A_record_without_text_is_counted_or_refused()
    {
        string path = Write("books.jsonl", "{\"text\":\"one\"}\n{\"body\":\"two\"}\n");
        Assert.StartsWith($"{path}:2: the field 'text' is missing", Assert.Throws<InvalidDataException>(() => DocumentReader.Read(path, BadRecords.Strict()).Count()).Message);
        var lenient = BadRecords.Lenient();
        Assert.Single(DocumentReader.Read(path, lenient));
        Assert.Equal(1, lenient.Skipped);
    }

    [Fact]
    public void A_file_without_text_and_a_directory_without_files_are_refused()
    {
        Assert.Contains(".jsonl", Assert.Throws<InvalidDataException>(() => DocumentReader.Read([_directory.FullName], BadRecords.Strict()).Count()).Message);
        Assert.Contains("holds no text", Assert.Throws<InvalidDataException>(() => DocumentReader.Read(Write("a.txt", " \n"), BadRecords.Strict()).Count()).Message);
        Assert.Contains("does not say what it holds", Assert.Throws<InvalidDataException>(() => DocumentReader.Read(Write("a.bin", "x"), BadRecords.Strict()).Count()).Message);
        Assert.Throws<FileNotFoundException>(() => DocumentReader.Read(["nowhere.txt"], BadRecords.Strict()).Count());
    }
}

public sealed class LineReaderTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    private string Write(string name, byte[] content) => _directory.WriteBytes(name, content);

    [Fact]
    public void Lines_longer_than_the_limit_are_faults_and_the_next_line_is_read()
    {
        string path = Write("lines.txt", "short\n" + new string('x', 300_000) + "\nlast\n" + new string('y', 200_000));
        Assert.Equal(["1 short\n", "2 too long", "3 last\n", "4 too long"], Lines(path, maxLineBytes: 100_000));
    }

    [Fact]
    public void A_line_of_a_hundred_megabytes_is_the_limit()
    {
        var content = new byte[LineReader.MaxLineBytes + 20];
        Array.Fill(content, (byte)'x');
        "\nlast"u8.CopyTo(content.AsSpan(^5..));
        Assert.Equal(["1 too long", "2 last"], Lines(Write("lines.txt.gz", content), LineReader.MaxLineBytes));
    }

    [Fact]
    public void The_lines_joined_are_the_file() => Gen.OneOf(Gen.Const("\n"), Gen.Const("\r\n"), Gen.Const("a"), Gen.Const("é"), Gen.Const(new string('z', 50_000))).Array[1, 20].Select(string.Concat).Sample(text =>
        Assert.Equal(text, string.Concat(Lines(Write("lines.txt", text), LineReader.MaxLineBytes).Select(line => line[(line.IndexOf(' ') + 1)..]))), iter: 100, threads: 1);

    private static List<string> Lines(string path, int maxLineBytes)
    {
        using var reader = new LineReader(path, maxLineBytes);
        var lines = new List<string>();
        while (reader.TryRead(out var line, out string? fault))
        {
            lines.Add($"{reader.Line} {(fault is null ? Encoding.UTF8.GetString(line.Span) : fault.Contains("longer") ? "too long" : fault)}");
        }
        return lines;
    }
}
