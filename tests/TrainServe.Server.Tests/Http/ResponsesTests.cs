using System.Net;
using System.Text.Json;
using TrainServe.Inference;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class ResponsesTests
{
    private const string Path = "/v1/responses";

    [Fact]
    public async Task A_whole_answer_has_the_shape_of_OpenAI()
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h', 'i'));
        var answer = await server.AnswerAsync(Path, """{"model":"tiny","input":"hello world","metadata":{"a":"b"}}""");
        Assert.StartsWith("resp_", answer.GetProperty("id").GetString());
        Assert.Equal(("response", "completed"), (answer.GetProperty("object").GetString(), answer.GetProperty("status").GetString()));
        var item = answer.GetProperty("output").EnumerateArray().Single();
        Assert.Equal("""[{"text":"hi","logprobs":[],"type":"output_text","annotations":[]}]""", item.GetProperty("content").GetRawText());
        Assert.Equal((15, 3), (answer.GetProperty("usage").GetProperty("input_tokens").GetInt32(), answer.GetProperty("usage").GetProperty("output_tokens").GetInt32()));
        Assert.Equal("""{"a":"b"}""", answer.GetProperty("metadata").GetRawText());
    }

    [Fact]
    public async Task A_stream_has_its_events_in_order_and_ends_with_the_whole_answer()
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h', 'i'));
        var stream = await server.StreamAsync(Path, """{"model":"tiny","input":"hello world","stream":true}""");
        Assert.Equal(
            [
                "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added", "response.output_text.delta", "response.output_text.delta",
                "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
            ],
            stream.Data.Select(item => item.GetProperty("type").GetString()));
        Assert.Equal(Enumerable.Range(0, 10), stream.Data.Select(item => item.GetProperty("sequence_number").GetInt32()));
        var response = stream.Data[^1].GetProperty("response");
        Assert.Equal("hi", response.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());
        Assert.Equal(3, response.GetProperty("usage").GetProperty("output_tokens").GetInt32());
        Assert.False(stream.Done);
    }

    [Fact]
    public async Task An_answer_that_was_cut_off_is_incomplete()
    {
        await using var server = await TestServer.StartAsync(new ScriptedEngine { Script = (_, _) => Say() });
        foreach (bool stream in (bool[])[false, true])
        {
            string body = $$"""{"model":"tiny","input":"a","max_output_tokens":1,"stream":{{(stream ? "true" : "false")}}}""";
            var response = stream ? (await server.StreamAsync(Path, body)).Data[^1].GetProperty("response") : await server.AnswerAsync(Path, body);
            Assert.Equal(("incomplete", "max_output_tokens"), (response.GetProperty("status").GetString(), response.GetProperty("incomplete_details").GetProperty("reason").GetString()));
            Assert.Equal("incomplete", response.GetProperty("output")[0].GetProperty("status").GetString());
        }

        static async IAsyncEnumerable<GeneratedToken> Say()
        {
            await Task.Yield();
            yield return ScriptedEngine.Token('h', FinishReason.Length);
        }
    }

    [Fact]
    public async Task A_conversation_of_items_is_what_the_same_chat_would_be()
    {
        var engine = ScriptedEngine.Saying('h');
        await using var server = await TestServer.StartListeningAsync(directory => Task.FromResult(TestServer.MakeModel(directory, engine, contextLength: 512)));
        await Eventually.AssertAsync(async () => (await server.Client.GetAsync("/health/ready")).IsSuccessStatusCode);
        await server.AnswerAsync(Path, """
            {"model":"tiny","instructions":"s","input":[{"role":"user","content":"a"},
             {"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"b","annotations":[],"logprobs":[]}]},
             {"id":"fc_1","type":"function_call","status":"completed","call_id":"call_1","name":"f","arguments":"{}"},
             {"type":"function_call_output","call_id":"call_1","output":"r"}]}
            """);
        Assert.Equal(
            """<|endoftext|><|system|>s<|end|><|user|>a<|end|><|assistant|>b<|tool_call|>{"name": "f", "arguments": {}}<|end|><|tool|>r<|end|><|assistant|>""",
            server.Tokenizer.Decode([.. engine.Requests[0].PromptIds], skipSpecial: false));
    }

    [Fact]
    public async Task A_fault_in_a_stream_is_an_event_and_breaks_the_connection()
    {
        await using var server = await TestServer.StartAsync(new ScriptedEngine { Script = (_, _) => Fail() });
        using var response = await server.PostToAsync(Path, """{"model":"tiny","input":"a","stream":true}""", HttpCompletionOption.ResponseHeadersRead);
        var text = new MemoryStream();
        await Assert.ThrowsAnyAsync<Exception>(() => response.Content.CopyToAsync(text));
        var last = ServerSentEvents.Parse(System.Text.Encoding.UTF8.GetString(text.ToArray())).Data[^1];
        Assert.Equal(("error", JsonValueKind.Null), (last.GetProperty("type").GetString(), last.GetProperty("param").ValueKind));
        Assert.DoesNotContain("secret", last.GetRawText());

        static async IAsyncEnumerable<GeneratedToken> Fail()
        {
            yield return ScriptedEngine.Token('h');
            await Task.Delay(20);
            throw new InvalidOperationException("secret internals");
        }
    }

    [Theory]
    [InlineData("{\"model\":\"tiny\"}", "input", "missing_required_parameter")]
    [InlineData("{\"model\":\"tiny\",\"input\":[]}", "input", "empty_array")]
    [InlineData("{\"model\":\"tiny\",\"input\":\"a\",\"previous_response_id\":\"resp_1\"}", "previous_response_id", "unsupported_parameter")]
    [InlineData("{\"model\":\"tiny\",\"input\":\"a\",\"tools\":[{\"type\":\"web_search\"}]}", "tools[0].type", "unsupported_parameter")]
    [InlineData("{\"model\":\"tiny\",\"input\":[{\"type\":\"computer_call\"}]}", "input[0].type", "unsupported_parameter")]
    [InlineData("{\"model\":\"tiny\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]}", "input[0].content[0].type", "unsupported_parameter")]
    [InlineData("{\"model\":\"tiny\",\"input\":\"a\",\"include\":[\"file_search_call.results\"]}", "include[0]", "invalid_value")]
    public async Task What_cannot_be_done_is_refused(string body, string param, string code)
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h'));
        using var response = await server.PostToAsync(Path, body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", param, code);
    }
}
