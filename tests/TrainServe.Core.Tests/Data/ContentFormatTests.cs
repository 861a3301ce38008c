using System.Text;
using TrainServe.Core.Data;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Data;

public sealed class ContentFormatTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("a.jsonl", "PAR1....", "is a Parquet file: convert it to JSON lines")]
    [InlineData("a.txt", "BZh91AY", "is packed with bzip2: unpack it first")]
    [InlineData("a.txt", "%PDF-1.7", "is a PDF file")]
    [InlineData("a.jsonl", "version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS")]
    [InlineData("a.txt.gz.txt", "PK\u0003\u0004", "is a zip archive")]
    [InlineData("notes", "{\"text\": 1}", "looks like JSON lines; rename it to end in .jsonl")]
    [InlineData("notes", " [{}]", "looks like a JSON list")]
    [InlineData("notes.md", "# Title", "looks like text; rename it to end in .txt")]
    [InlineData("page.htm", "<html>", "looks like HTML")]
    [InlineData("nothing", "", "it is empty")]
    public void A_file_that_is_not_read_is_told_by_what_it_holds(string name, string content, string sentence)
    {
        string path = _directory.WriteText(name, content);
        Assert.Contains(sentence, Assert.Throws<InvalidDataException>(() => DocumentReader.Read(path, BadRecords.Strict()).Count()).Message);
    }

    [Fact]
    public void A_name_and_its_packing_must_agree()
    {
        string packed = _directory.WriteBytes("a.txt.gz", "some text"u8);
        Assert.Equal("some text", DocumentReader.Read(packed, BadRecords.Strict()).Single().Text);
        string unnamed = _directory.PathOf("b.txt"), unpacked = _directory.PathOf("c.txt.gz");
        File.Copy(packed, unnamed);
        File.WriteAllBytes(unpacked, Encoding.UTF8.GetBytes("some text"));
        Assert.Contains("let its name end in .gz", Assert.Throws<InvalidDataException>(() => DocumentReader.Read(unnamed, BadRecords.Strict()).Count()).Message);
        Assert.Contains("is not packed with gzip", Assert.Throws<InvalidDataException>(() => DocumentReader.Read(unpacked, BadRecords.Strict()).Count()).Message);
    }

    [Fact]
    public void Of_an_OpenAssistant_tree_the_best_ranked_branch_is_read()
    {
        string path = _directory.WriteText("trees.jsonl", """
            {"message_tree_id": "1", "tree_state": "ready_for_export", "prompt": {"role": "prompter", "text": "Hi", "replies": [{"role": "assistant", "text": "worse", "rank": 1, "replies": []}, {"role": "assistant", "text": "gone", "rank": -1, "deleted": true}, {"role": "assistant", "text": "better", "rank": 0, "replies": [{"role": "prompter", "text": "Why?", "replies": [{"role": "assistant", "text": "Because.", "rank": null, "replies": [{"role": "prompter", "text": "unanswered", "replies": []}]}]}]}]}}
            """);
        var conversation = ConversationReader.Read(path, BadRecords.Strict()).Single();
        Assert.Equal(["Hi", "better", "Why?", "Because."], conversation.Messages.Select(message => message.Content));
        string bare = _directory.WriteText("bare.jsonl", """{"message_tree_id": "1", "prompt": {"role": "prompter", "text": "Hi", "replies": []}}""");
        Assert.Contains("the tree has no answer", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(bare, BadRecords.Strict()).Count()).Message);
    }
}
