using System.Net;
using System.Text.Json;
using TrainServe.Inference;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class CompletionsTests
{
    private const string Path = "/v1/completions";

    [Fact]
    public async Task A_whole_answer_has_the_shape_of_OpenAI()
    {
        var engine = ScriptedEngine.Saying('h', 'i');
        await using var server = await TestServer.StartAsync(engine);
        var answer = await server.AnswerAsync(Path, """{"model":"tiny","prompt":"abc","logprobs":0}""");
        Assert.StartsWith("cmpl-", answer.GetProperty("id").GetString());
        Assert.Equal("text_completion", answer.GetProperty("object").GetString());
        Assert.Equal(
            """{"text":"hi","index":0,"logprobs":{"text_offset":[0,1],"token_logprobs":[-0.5,-0.5],"tokens":["h","i"],"top_logprobs":[{},{}]},"finish_reason":"stop"}""",
            answer.GetProperty("choices")[0].GetRawText());
        // The token that begins texts, three bytes; two bytes and the token that ended the answer.
        Assert.Equal((4, 3), (answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32()));
        Assert.Equal([server.Tokenizer.Special.BosId, 'a', 'b', 'c'], engine.Requests[0].PromptIds);
        Assert.Equal(16, engine.Requests[0].MaxNewTokens);
    }

    [Theory]
    [InlineData("\"prompt\":\"ab\",\"n\":2")]
    [InlineData("\"prompt\":[\"ab\",\"c\"],\"logprobs\":1")]
    [InlineData("\"prompt\":[97,98]")]
    [InlineData("\"prompt\":[[97],[98,99]],\"stop\":\"i\"")]
    public async Task A_stream_says_the_same_as_a_whole_answer(string parameters)
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h', 0xC3, 0xA9, 'i', '!'));
        var whole = await server.AnswerAsync(Path, $$"""{"model":"tiny",{{parameters}}}""");
        var stream = await server.StreamAsync(Path, "{\"model\":\"tiny\"," + parameters + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
        Assert.True(stream.Done);
        foreach (var choice in whole.GetProperty("choices").EnumerateArray())
        {
            var chunks = stream.Choices(choice.GetProperty("index").GetInt32()).ToArray();
            Assert.Equal(choice.GetProperty("text").GetString(), string.Concat(chunks.Select(chunk => chunk.GetProperty("text").GetString())));
            Assert.Equal(choice.GetProperty("finish_reason").GetString(), chunks[^1].GetProperty("finish_reason").GetString());
            foreach (string list in (string[])["tokens", "text_offset", "token_logprobs"])
            {
                Assert.Equal(ListOf(choice, list), chunks.SelectMany(chunk => ListOf(chunk, list)));
            }
        }
        Assert.Equal(whole.GetProperty("usage").GetRawText(), stream.Data[^1].GetProperty("usage").GetRawText());
    }

    [Fact]
    public async Task Several_prompts_are_answered_in_their_order()
    {
        var engine = new ScriptedEngine { Script = (request, _) => Say(request.PromptIds[^1]) };
        await using var server = await TestServer.StartAsync(engine);
        var answer = await server.AnswerAsync(Path, """{"model":"tiny","prompt":["a","b"],"n":2,"add_special_tokens":false}""");
        Assert.Equal(["a", "a", "b", "b"], answer.GetProperty("choices").EnumerateArray().Select(choice => choice.GetProperty("text").GetString()));
        Assert.Equal(2, answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());

        static async IAsyncEnumerable<GeneratedToken> Say(int id)
        {
            await Task.Yield();
            yield return ScriptedEngine.Token(id, FinishReason.Length);
        }
    }

    [Theory]
    [InlineData("{\"model\":\"tiny\"}", "prompt", "missing_required_parameter")]
    [InlineData("{\"model\":\"tiny\",\"prompt\":[]}", "prompt", "empty_array")]
    [InlineData("{\"model\":\"tiny\",\"prompt\":[97,\"a\"]}", "prompt[1]", "invalid_type")]
    [InlineData("{\"model\":\"tiny\",\"prompt\":[\"a\",97]}", "prompt[1]", "invalid_type")]
    [InlineData("{\"model\":\"tiny\",\"prompt\":[70000]}", "prompt", "invalid_value")]
    [InlineData("{\"model\":\"tiny\",\"prompt\":\"a\",\"echo\":true}", "echo", "unsupported_parameter")]
    [InlineData("{\"model\":\"tiny\",\"prompt\":\"a\",\"suffix\":\"b\"}", "suffix", "unsupported_parameter")]
    [InlineData("{\"model\":\"tiny\",\"prompt\":\"a\",\"logprobs\":6}", "logprobs", "integer_above_max_value")]
    [InlineData("{\"model\":\"tiny\",\"prompt\":\"\",\"add_special_tokens\":false}", "prompt", "invalid_value")]
    [InlineData("{\"model\":\"tiny\",\"prompt\":\"a\",\"max_tokens\":100}", "prompt", "context_length_exceeded")]
    public async Task What_is_wrong_is_said_before_anything_is_made(string body, string param, string code)
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h'));
        using var response = await server.PostToAsync(Path, body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", param, code);
    }

    private static IEnumerable<string> ListOf(JsonElement choice, string list) =>
        choice.GetProperty("logprobs") is { ValueKind: JsonValueKind.Object } logProbs ? logProbs.GetProperty(list).EnumerateArray().Select(item => item.GetRawText()) : [];
}
