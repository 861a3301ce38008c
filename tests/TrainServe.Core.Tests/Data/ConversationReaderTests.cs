using System.Text;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Data;

public sealed class ConversationReaderTests : IDisposable
{
    private const string Good = """{"prompt":"a","completion":"b"}""";
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    private string Write(string name, byte[] content) => _directory.WriteBytes(name, content);

    public static TheoryData<string, string> Formats => new()
    {
        { """{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}""", "system:s|user:u|assistant:a" },
        { """{"messages":[{"role":"user","content":[{"type":"text","text":"u"},{"type":"text","text":"v"}]},{"role":"assistant","content":"a"}]}""", "user:uv|assistant:a" },
        { """{"conversations":[{"from":"human","value":"u"},{"from":"gpt","value":"a"}],"system":"s"}""", "system:s|user:u|assistant:a" },
        { """{"instruction":"i","input":"","output":"o"}""", "user:i|assistant:o" },
        { """{"instruction":"i","input":"n","response":"o"}""", "user:i\n\nn|assistant:o" },
        { """{"task":"t","prompt":"p","completion":" c"}""", "user:p|assistant:c" },
        { """{"question":"q","answer":"a"}""", "user:q|assistant:a" },
        { """{"story":"x","section":"s","question":"q","answer":"a"}""", "user:s\n\nq|assistant:a" },
        { """{"text":"One. Two."}""", "user:One.|assistant:Two." },
    };

    [Theory, MemberData(nameof(Formats))]
    public void Each_format_is_recognised_by_its_first_record(string record, string expected)
    {
        string lines = Write("data.jsonl", record + "\n" + record + "\n");
        string list = Write("data.json.gz", $"[\n {record},\n{record}]\n");
        foreach (string path in new[] { lines, list })
        {
            var conversations = ConversationReader.Read(path, BadRecords.Strict()).ToArray();
            Assert.Equal([expected, expected], conversations.Select(Show));
            Assert.Equal(path == lines ? [$"{path}:1", $"{path}:2"] : [$"{path}:2", $"{path}:3"], conversations.Select(conversation => conversation.Origin.ToString()));
        }
    }

    [Fact]
    public void A_text_becomes_an_opening_and_its_continuation()
    {
        string path = Write("stories.txt", "A dog ran. \"Stop!\" said Tim. It did not\nstop. It was 3.5 miles.\n<|endoftext|>\nHe came. He saw. He won.\n");
        var conversations = ConversationReader.Read(path, BadRecords.Strict()).ToArray();
        Assert.Equal(2, conversations.Length);
        Assert.All(conversations, conversation => Assert.Equal([ChatRole.User, ChatRole.Assistant], conversation.Messages.Select(message => message.Role)));
        Assert.Equal(["A dog ran. \"Stop!\" said Tim. It did not\nstop. It was 3.5 miles.", "He came. He saw. He won."], conversations.Select(conversation => string.Join(' ', conversation.Messages.Select(message => message.Content))));
        Assert.Contains(conversations[0].Messages[0].Content, new[] { "A dog ran.", "A dog ran. \"Stop!\" said Tim." });
        Assert.Equal("He came.", conversations[1].Messages[0].Content);
        Assert.Equal(conversations.Select(Show), ConversationReader.Read(path, BadRecords.Strict()).Select(Show));
    }

    [Fact]
    public void A_text_of_one_sentence_has_nothing_to_go_on_with()
    {
        string path = Write("stories.txt", "Only this.\n<|endoftext|>\nOne. Two.\n");
        var fault = Assert.Throws<InvalidDataException>(() => ConversationReader.Read(path, BadRecords.Strict()).ToList());
        Assert.Contains("stories.txt:1: the text is one sentence", fault.Message, StringComparison.Ordinal);
        var bad = BadRecords.Lenient();
        Assert.Single(ConversationReader.Read(path, bad));
        Assert.Equal(1, bad.Skipped);
    }

    [Fact]
    public void Calls_of_tools_are_read_in_both_spellings()
    {
        string openAi = Write("openai.jsonl",
            """{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[{"id":"7","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}}]},{"role":"tool","tool_call_id":"7","content":"r"},{"role":"assistant","content":"a"}]}""");
        string shareGpt = Write("sharegpt.jsonl",
            """{"conversations":[{"from":"human","value":"u"},{"from":"function_call","value":"{\"name\": \"f\", \"arguments\": {\"x\": 1}}"},{"from":"observation","value":"r"},{"from":"gpt","value":"a"}]}""");
        foreach (string path in new[] { openAi, shareGpt })
        {
            var messages = Assert.Single(ConversationReader.Read(path, BadRecords.Strict())).Messages;
            Assert.Equal([ChatRole.User, ChatRole.Assistant, ChatRole.Tool, ChatRole.Assistant], messages.Select(message => message.Role));
            var call = Assert.Single(messages[1].ToolCalls!);
            Assert.Equal(("f", """{"x": 1}"""), (call.Name, call.Arguments));
        }
    }

    [Fact]
    public void A_byte_order_mark_carriage_returns_and_blank_lines_do_no_harm()
    {
        string path = Write("data.jsonl", "\uFEFF" + Good + "\r\n\r\n" + Good + "\r\n");
        Assert.Equal([1, 3], ConversationReader.Read(path, BadRecords.Strict()).Select(conversation => conversation.Origin.Line));
        Assert.Single(ConversationReader.Read(Write("data.json", "\uFEFF[" + Good + "]"), BadRecords.Strict()));
    }

    public static TheoryData<string, string> BadLines => new()
    {
        { """{"prompt":"a","completion":"b" """, "not JSON" },
        { """{"prompt":"a"}""", "'completion' is missing (the file is read as prompt and completion" },
        { """{"prompt":"a","completion":null}""", "'completion' is missing" },
        { """{"prompt":1,"completion":"b"}""", "'prompt' must be text" },
        { """{"prompt":"a","prompt":"a","completion":"b"}""", "not JSON" },
        { """{"prompt":"a","completion":" "}""", "empty turn of the assistant" },
        { """{"prompt":"\ud800","completion":"b"}""", "surrogate" },
        { """{"prompt":"a","completion":"b","\ud800":1}""", "the line is not JSON: a string has half of a surrogate pair" },
        { """{"prompt":"a","completion":"b","more":{"\ud800":1}}""", "the line is not JSON: a string has half of a surrogate pair" },
        { """[1]""", "must be an object" },
    };

    [Theory, MemberData(nameof(BadLines))]
    public void A_bad_line_is_named_with_its_file_and_line(string line, string reason)
    {
        string path = Write("data.jsonl", Good + "\n" + line + "\n" + Good + "\n");
        var error = Assert.Throws<InvalidDataException>(() => ConversationReader.Read(path, BadRecords.Strict()).Count());
        Assert.StartsWith($"{path}:2: ", error.Message);
        Assert.Contains(reason, error.Message);

        var lenient = BadRecords.Lenient();
        Assert.Equal([1, 3], ConversationReader.Read(path, lenient).Select(conversation => conversation.Origin.Line));
        Assert.Equal((2, 1), (lenient.Good, lenient.Skipped));
        Assert.Equal(error.Message, lenient.First[0] + ".");
    }

    [Fact]
    public void Bad_utf8_is_named_with_its_place()
    {
        string path = Write("data.jsonl", [.. Encoding.UTF8.GetBytes(Good + "\n{\"prompt\":\""), 0xC3, 0x28, .. "\"}\n"u8]);
        var error = Assert.Throws<InvalidDataException>(() => ConversationReader.Read(path, BadRecords.Strict()).Count());
        Assert.Equal($"{path}:2: the line is not valid UTF-8 at its byte 12.", error.Message);
        Assert.Single(ConversationReader.Read(path, BadRecords.Lenient()));
    }

    [Fact]
    public void A_file_that_ends_in_half_a_line_says_so()
    {
        string path = Write("data.jsonl", Good + "\n" + Good[..^5]);
        Assert.Equal($"{path}:2: the file ends in the middle of this line's record.", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(path, BadRecords.Strict()).Count()).Message);
    }

    [Fact]
    public void A_packed_file_that_is_cut_off_says_so()
    {
        string whole = Write("data.jsonl.gz", string.Concat(Enumerable.Range(0, 2000).Select(i => $$"""{"prompt":"{{i * 7919 % 1000}}","completion":"{{i * i}}"}""" + "\n")));
        File.WriteAllBytes(whole, File.ReadAllBytes(whole)[..^200]);
        Assert.Contains("damaged or cut off", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(whole, BadRecords.Lenient()).Count()).Message);
    }

    [Fact]
    public void A_file_without_records_is_refused()
    {
        Assert.Contains("is empty", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(Write("a.jsonl", ""), BadRecords.Strict()).Count()).Message);
        Assert.Contains("is empty", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(Write("b.jsonl", "\n\n"), BadRecords.Strict()).Count()).Message);
        Assert.Contains("is empty", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(Write("c.json", ""), BadRecords.Strict()).Count()).Message);
        Assert.Contains("holds no record.", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(Write("d.json", "[]"), BadRecords.Strict()).Count()).Message);
        Assert.Contains("no record that can be used", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(Write("e.jsonl", "{\n"), BadRecords.Lenient()).Count()).Message);
        Assert.Throws<FileNotFoundException>(() => ConversationReader.Read(_directory.PathOf("none.jsonl"), BadRecords.Strict()).Count());
    }

    [Fact]
    public void An_unknown_format_is_named_with_its_fields()
    {
        string path = Write("data.jsonl", """{"foo":1,"bar":2}""");
        string message = Assert.Throws<InvalidDataException>(() => ConversationReader.Read(path, BadRecords.Lenient()).Count()).Message;
        Assert.StartsWith($"{path}:1: the record has the fields foo, bar", message);
        Assert.Contains("Alpaca", message);
    }

    [Fact]
    public void A_list_that_is_cut_off_or_no_list_is_refused()
    {
        Assert.Contains(":2", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(Write("a.json", $"[{Good},\n{Good}"), BadRecords.Lenient()).Count()).Message);
        Assert.Contains("must hold a JSON list", Assert.Throws<InvalidDataException>(() => ConversationReader.Read(Write("b.json", Good), BadRecords.Strict()).Count()).Message);
    }

    [Fact]
    public void A_directory_gives_its_files_in_the_order_of_their_names()
    {
        Write("b.jsonl", Good);
        Write("a.jsonl.gz", """{"instruction":"i","output":"o"}""");
        Write("c.md", "not data");
        var bad = BadRecords.Strict();
        Assert.Equal(["user:i|assistant:o", "user:a|assistant:b"], ConversationReader.ReadAll([_directory.FullName], bad).Select(Show));
        Assert.Equal(2, bad.Good);
    }

    private static string Show(Conversation conversation) => string.Join('|', conversation.Messages.Select(message => $"{message.Role.Name()}:{message.Content}"));
}
