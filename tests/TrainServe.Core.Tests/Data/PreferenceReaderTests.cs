using System.Text;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Data;

public sealed class PreferenceReaderTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    private string Write(string name, byte[] content) => _directory.WriteBytes(name, content);

    public static TheoryData<string, string> Formats => new()
    {
        { """{"prompt":"p","chosen":"c","rejected":"r"}""", "user:p > c | r" },
        { """{"prompt":"\n\nHuman: p\n\nAssistant:","chosen":" c","rejected":"r"}""", "user:p > c | r" },
        { """{"chosen":"\n\nHuman: p\n\nAssistant: q\n\nHuman: s\n\nAssistant: c","rejected":"\n\nHuman: p\n\nAssistant: q\n\nHuman: s\n\nAssistant: r"}""", "user:p,assistant:q,user:s > c | r" },
        { """{"conversations":[{"from":"human","value":"p"}],"chosen":{"from":"gpt","value":"c"},"rejected":{"from":"gpt","value":"r"}}""", "user:p > c | r" },
        { """{"prompt":[{"role":"user","content":"p"}],"chosen":[{"role":"assistant","content":"c"}],"rejected":[{"role":"assistant","content":"r"}]}""", "user:p > c | r" },
        { """{"chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"c"}],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"r"}]}""", "user:p > c | r" },
        { """{"prompt":"p","chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"c"}],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"r"}]}""", "user:p > c | r" },
    };

    [Theory, MemberData(nameof(Formats))]
    public void Each_format_gives_a_prompt_and_two_answers(string record, string expected)
    {
        var pair = Assert.Single(PreferenceReader.Read(Write("pairs.jsonl", record), BadRecords.Strict()));
        Assert.Equal(expected, $"{string.Join(',', pair.Prompt.Select(message => $"{message.Role.Name()}:{message.Content}"))} > {pair.Chosen.Content} | {pair.Rejected.Content}");
        Assert.Equal(1, pair.Origin.Line);
    }

    [Theory]
    [InlineData("""{"prompt":"p","chosen":"c","rejected":"c"}""", "chosen and rejected are the same")]
    [InlineData("""{"prompt":"p","chosen":"c"}""", "'rejected' is missing")]
    [InlineData("""{"prompt":"p","chosen":"c","rejected":""}""", "rejected answer has a message 2 that is an empty turn")]
    [InlineData("""{"prompt":[{"role":"assistant","content":"p"}],"chosen":"c","rejected":"r"}""", "starts with assistant")]
    [InlineData("""{"prompt":"p","chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"q"},{"role":"user","content":"s"},{"role":"assistant","content":"c"}],"rejected":"r"}""", "'chosen' has turns before its answer that are not the prompt")]
    [InlineData("""{"prompt":"p","chosen":"c","rejected":[{"role":"user","content":"other"},{"role":"assistant","content":"r"}]}""", "'rejected' has turns before its answer that are not the prompt")]
    public void A_bad_pair_is_named_with_its_file_and_line(string record, string reason)
    {
        const string good = """{"prompt":"p","chosen":"c","rejected":"r"}""";
        string path = Write("pairs.jsonl", $"{good}\n{record}\n{good}\n");
        string message = Assert.Throws<InvalidDataException>(() => PreferenceReader.Read(path, BadRecords.Strict()).Count()).Message;
        Assert.StartsWith($"{path}:2: ", message);
        Assert.Contains(reason, message);
        var lenient = BadRecords.Lenient();
        Assert.Equal(2, PreferenceReader.ReadAll([path], lenient).Count);
        Assert.Equal(1, lenient.Skipped);
    }

    [Fact]
    public void Transcripts_that_part_before_their_last_turn_are_refused()
    {
        string path = Write("pairs.jsonl", """{"chosen":"\n\nHuman: p\n\nAssistant: c","rejected":"\n\nHuman: q\n\nAssistant: r"}""");
        Assert.Contains("differ before their last turn", Assert.Throws<InvalidDataException>(() => PreferenceReader.Read(path, BadRecords.Strict()).Count()).Message);
    }
}
