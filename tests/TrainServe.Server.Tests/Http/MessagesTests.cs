using System.Net;
using System.Text.Json;
using TrainServe.Inference;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class MessagesTests
{
    private const string Path = "/v1/messages";
    private const string Hello = "\"model\":\"tiny\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hello world\"}]";

    [Fact]
    public async Task A_whole_answer_has_the_shape_of_Anthropic()
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h', 'i'));
        using var response = await server.PostToAsync(Path, $"{{{Hello}}}");
        Assert.Equal(response.Headers.GetValues("x-request-id"), response.Headers.GetValues("request-id"));
        var answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
        Assert.StartsWith("msg_", answer.GetProperty("id").GetString());
        Assert.Equal(("message", "assistant", "tiny", "end_turn"), (
            answer.GetProperty("type").GetString(), answer.GetProperty("role").GetString(), answer.GetProperty("model").GetString(), answer.GetProperty("stop_reason").GetString()));
        Assert.Equal("""[{"type":"text","text":"hi"}]""", answer.GetProperty("content").GetRawText());
        // Of 15 tokens this engine says that 7 were cached; Anthropic counts the two kinds apart.
        var usage = answer.GetProperty("usage");
        Assert.Equal((8, 7, 3), (usage.GetProperty("input_tokens").GetInt32(), usage.GetProperty("cache_read_input_tokens").GetInt32(), usage.GetProperty("output_tokens").GetInt32()));
    }

    [Fact]
    public async Task A_stream_has_the_events_of_Anthropic_in_their_order()
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h', 'i'));
        var stream = await server.StreamAsync(Path, $"{{{Hello},\"stream\":true}}");
        Assert.False(stream.Done);
        Assert.Equal(
            ["message_start", "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop", "message_delta", "message_stop"],
            stream.Data.Select(item => item.GetProperty("type").GetString()));
        Assert.Equal("""{"index":0,"delta":{"type":"text_delta","text":"h"},"type":"content_block_delta"}""", stream.Data[2].GetRawText());
        Assert.Equal(("end_turn", 3), (stream.Data[5].GetProperty("delta").GetProperty("stop_reason").GetString(), stream.Data[5].GetProperty("usage").GetProperty("output_tokens").GetInt32()));
    }

    [Fact]
    public async Task The_reason_for_the_end_is_told()
    {
        await using var server = await TestServer.StartAsync(new ScriptedEngine { Script = (_, _) => Say() });
        foreach (bool stream in (bool[])[false, true])
        {
            Assert.Equal(("max_tokens", null), await ReasonAsync(server, "\"top_k\":3", stream));
            Assert.Equal(("stop_sequence", "cd"), await ReasonAsync(server, "\"stop_sequences\":[\"x\",\"cd\"]", stream));
        }

        static async IAsyncEnumerable<GeneratedToken> Say()
        {
            foreach (char letter in "abcde")
            {
                await Task.Yield();
                yield return ScriptedEngine.Token(letter, letter == 'e' ? FinishReason.Length : null);
            }
        }
    }

    [Fact]
    public async Task Instructions_come_first_and_blocks_are_joined()
    {
        var engine = ScriptedEngine.Saying('h');
        await using var server = await TestServer.StartAsync(engine);
        await server.AnswerAsync(Path, """
            {"model":"tiny","max_tokens":5,"system":[{"type":"text","text":"be","cache_control":{"type":"ephemeral"}},{"type":"text","text":" kind"}],
             "messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}
            """);
        Assert.Equal(
            "<|endoftext|><|system|>be kind<|end|><|user|>a<|end|><|assistant|>b<|end|><|user|>c<|end|><|assistant|>",
            server.Tokenizer.Decode([.. engine.Requests[0].PromptIds], skipSpecial: false));
    }

    [Fact]
    public async Task Tokens_are_counted_without_an_answer()
    {
        var engine = ScriptedEngine.Saying('h');
        await using var server = await TestServer.StartAsync(engine);
        var count = await server.AnswerAsync(Path + "/count_tokens", """{"model":"tiny","messages":[{"role":"user","content":"hello world"}]}""");
        Assert.Equal("""{"input_tokens":15}""", count.GetRawText());
        Assert.Empty(engine.Requests);
    }

    [Theory]
    [InlineData("{}", HttpStatusCode.BadRequest, "invalid_request_error")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", HttpStatusCode.BadRequest, "invalid_request_error")]
    [InlineData("{\"model\":\"tiny\",\"max_tokens\":5,\"temperature\":1.5,\"messages\":[]}", HttpStatusCode.BadRequest, "invalid_request_error")]
    [InlineData("{\"model\":\"nobody\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", HttpStatusCode.NotFound, "not_found_error")]
    [InlineData("{\"model\":\"tiny\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{}}]}]}", HttpStatusCode.BadRequest, "invalid_request_error")]
    public async Task Errors_have_the_shape_of_Anthropic(string body, HttpStatusCode status, string type)
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h'));
        using var response = await server.PostToAsync(Path, body);
        Assert.Equal(status, response.StatusCode);
        await AssertErrorAsync(response, type);
        using var method = await server.Client.GetAsync(Path);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, method.StatusCode);
        await AssertErrorAsync(method, "invalid_request_error");
    }

    [Fact]
    public async Task An_overloaded_server_is_529_and_a_fault_in_a_stream_is_an_event()
    {
        await using (var full = await TestServer.StartAsync(new ScriptedEngine { Script = (_, _) => throw new QueueFullException(9, 99) }))
        {
            using var response = await full.PostToAsync(Path, $"{{{Hello}}}");
            Assert.Equal(529, (int)response.StatusCode);
            Assert.NotNull(response.Headers.RetryAfter);
            await AssertErrorAsync(response, "overloaded_error");
        }
        await using var server = await TestServer.StartAsync(new ScriptedEngine { Script = (_, _) => Fail() });
        using var stream = await server.PostToAsync(Path, $"{{{Hello},\"stream\":true}}", HttpCompletionOption.ResponseHeadersRead);
        var text = new MemoryStream();
        await Assert.ThrowsAnyAsync<Exception>(() => stream.Content.CopyToAsync(text));
        var events = ServerSentEvents.Parse(System.Text.Encoding.UTF8.GetString(text.ToArray()));
        Assert.Equal("""{"error":{"type":"api_error","message":"The server had an error while processing your request. Please try again."},"request_id":null,"type":"error"}""", events.Data[^1].GetRawText());

        static async IAsyncEnumerable<GeneratedToken> Fail()
        {
            yield return ScriptedEngine.Token('h');
            await Task.Delay(20);
            throw new InvalidOperationException("secret internals");
        }
    }

    private static async Task<(string?, string?)> ReasonAsync(TestServer server, string parameters, bool stream)
    {
        var delta = stream
            ? (await server.StreamAsync(Path, $"{{{Hello},{parameters},\"stream\":true}}")).Data[^2].GetProperty("delta")
            : await server.AnswerAsync(Path, $"{{{Hello},{parameters}}}");
        return (delta.GetProperty("stop_reason").GetString(), delta.GetProperty("stop_sequence").GetString());
    }

    private static async Task AssertErrorAsync(HttpResponseMessage response, string type)
    {
        var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
        Assert.Equal("error", body.GetProperty("type").GetString());
        Assert.Equal(type, body.GetProperty("error").GetProperty("type").GetString());
        Assert.NotEmpty(body.GetProperty("error").GetProperty("message").GetString()!);
        Assert.Equal(response.Headers.GetValues("request-id").Single(), body.GetProperty("request_id").GetString());
    }
}
