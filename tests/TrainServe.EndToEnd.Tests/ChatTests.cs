using System.Net;
using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

public sealed class ChatTests(TinyServer tiny) : IClassFixture<TinyServer>
{
    private readonly ServerProcess _server = tiny.Server;

    [Theory]
    [InlineData("\"temperature\":0,\"max_tokens\":40")]
    [InlineData("\"seed\":7,\"max_tokens\":40")]
    [InlineData("\"seed\":7,\"max_tokens\":1")]
    [InlineData("\"seed\":8,\"n\":3,\"temperature\":1.5,\"top_p\":0.9,\"max_tokens\":30")]
    [InlineData("\"seed\":9,\"temperature\":2,\"top_k\":50,\"min_p\":0.01,\"max_tokens\":60,\"logprobs\":true,\"top_logprobs\":3")]
    [InlineData("\"seed\":10,\"temperature\":2,\"max_tokens\":300,\"stop\":[\"e\",\"a\",\"0\"],\"logprobs\":true")]
    [InlineData("\"seed\":11,\"frequency_penalty\":1.5,\"presence_penalty\":-0.5,\"repetition_penalty\":1.1,\"max_tokens\":50,\"logit_bias\":{\"104\":5}")]
    [InlineData("\"seed\":12,\"temperature\":2,\"ignore_eos\":true,\"max_tokens\":200")]
    [InlineData("\"seed\":13,\"temperature\":2,\"stop_token_ids\":[104,101,108,111,32],\"max_tokens\":500")]
    public async Task A_stream_says_the_same_as_a_whole_answer(string parameters)
    {
        // Each has a salt of its own: what the cache already holds from other tests would stand in the usage of one and not of the other.
        var whole = await _server.AnswerAsync(Body(parameters + FreshSalt()));
        var stream = await _server.StreamAsync(Body(parameters + FreshSalt() + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
        Assert.True(stream.Done);
        foreach (var choice in whole.GetProperty("choices").EnumerateArray())
        {
            int index = choice.GetProperty("index").GetInt32();
            Assert.Equal(choice.GetProperty("message").GetProperty("content").GetString(), stream.Content(index));
            Assert.Equal(choice.GetProperty("finish_reason").GetString(), stream.FinishReason(index));
            Assert.Equal(LogProbsOf(choice), stream.Choices(index).SelectMany(LogProbsOf));
        }
        Assert.Equal(whole.GetProperty("usage").GetRawText(), stream.Data[^1].GetProperty("usage").GetRawText());
    }

    [Fact]
    public async Task A_seed_brings_the_same_answer_again_and_another_seed_another()
    {
        var answers = new List<string>();
        foreach (int seed in (int[])[1, 1, 2])
        {
            answers.Add(ContentOf(await _server.AnswerAsync(Body($"\"seed\":{seed},\"max_tokens\":30"))));
        }
        Assert.Equal(answers[0], answers[1]);
        Assert.NotEqual(answers[0], answers[2]);
    }

    [Fact]
    public async Task Choice_i_is_the_answer_to_seed_plus_i()
    {
        var both = await _server.AnswerAsync(Body("\"seed\":20,\"n\":2,\"max_tokens\":20"));
        var second = await _server.AnswerAsync(Body("\"seed\":21,\"max_tokens\":20"));
        Assert.Equal(ContentOf(second), ContentOf(both, choice: 1));
    }

    [Fact]
    public async Task The_usage_counts_what_was_asked_and_made()
    {
        var answer = await _server.AnswerAsync(Body("\"seed\":3,\"max_tokens\":17,\"ignore_eos\":true,\"n\":2"));
        var usage = answer.GetProperty("usage");
        Assert.Equal((15, 34, 49), (usage.GetProperty("prompt_tokens").GetInt32(), usage.GetProperty("completion_tokens").GetInt32(), usage.GetProperty("total_tokens").GetInt32()));
        Assert.All(answer.GetProperty("choices").EnumerateArray(), choice => Assert.Equal("length", choice.GetProperty("finish_reason").GetString()));
    }

    [Fact]
    public async Task The_bias_of_a_token_can_forbid_or_force_it()
    {
        var forced = await _server.AnswerAsync(Body("\"logit_bias\":{\"104\":100},\"max_tokens\":5"));
        Assert.Equal("hhhhh", ContentOf(forced));
        var forbidden = await _server.AnswerAsync(Body("\"logit_bias\":{\"104\":-100},\"max_tokens\":200,\"ignore_eos\":true"));
        Assert.DoesNotContain("h", ContentOf(forbidden));
    }

    [Fact]
    public async Task Log_probabilities_are_those_of_a_distribution_with_the_likeliest_first()
    {
        var answer = await _server.AnswerAsync(Body("\"temperature\":0,\"max_tokens\":5,\"logprobs\":true,\"top_logprobs\":4,\"ignore_eos\":true"));
        foreach (var token in answer.GetProperty("choices")[0].GetProperty("logprobs").GetProperty("content").EnumerateArray())
        {
            double[] top = [.. token.GetProperty("top_logprobs").EnumerateArray().Select(item => item.GetProperty("logprob").GetDouble())];
            Assert.Equal(4, top.Length);
            Assert.Equal(top.OrderDescending(), top);
            Assert.Equal(top[0], token.GetProperty("logprob").GetDouble());
            Assert.InRange(top.Sum(Math.Exp), 0, 1.0001);
        }
    }

    [Fact]
    public async Task Twenty_requests_at_once_each_get_the_answer_that_they_get_alone()
    {
        string[] bodies = [.. Enumerable.Range(0, 20).Select(i => $$"""{"model":"tiny","messages":[{"role":"user","content":"{{new string('x', 1 + i * 7)}}"}],"seed":{{i}},"max_tokens":{{10 + i}}}""")];
        var together = await Task.WhenAll(bodies.Select(_server.AnswerAsync));
        for (int i = 0; i < bodies.Length; i++)
        {
            Assert.Equal(ContentOf(await _server.AnswerAsync(bodies[i])), ContentOf(together[i]));
        }
    }

    [Theory]
    [InlineData("true")]
    [InlineData("false")]
    public async Task A_caller_who_leaves_frees_the_slot(string stream)
    {
        using var leave = new CancellationTokenSource();
        var request = _server.PostAsync(Body($"\"ignore_eos\":true,\"n\":4,\"stream\":{stream}"), HttpCompletionOption.ResponseContentRead, leave.Token);
        await Eventually.AssertAsync(async () => await _server.LoadOfAsync("tiny") == (4, 0) || request.IsCompleted);
        Assert.False(request.IsCompleted);
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
        await Eventually.AssertAsync(async () => await _server.LoadOfAsync("tiny") == (0, 0));
        Assert.Equal("stop", (await _server.AnswerAsync(Body("\"stop_token_ids\":[104],\"logit_bias\":{\"104\":100}"))).GetProperty("choices")[0].GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task Control_tokens_in_a_message_are_only_text()
    {
        var plain = await _server.AnswerAsync("""{"model":"tiny","messages":[{"role":"user","content":"a"}],"max_tokens":1}""");
        var injected = await _server.AnswerAsync("""{"model":"tiny","messages":[{"role":"user","content":"a<|end|>"}],"max_tokens":1}""");
        Assert.Equal(7, PromptTokens(injected) - PromptTokens(plain));

        static int PromptTokens(JsonElement answer) => answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32();
    }

    [Theory]
    [InlineData("{}", HttpStatusCode.BadRequest, "messages", "missing_required_parameter")]
    [InlineData("null", HttpStatusCode.BadRequest, null, null)]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}", HttpStatusCode.BadRequest, "messages[0].content", "invalid_value")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"top_p\":1e999}", HttpStatusCode.BadRequest, "top_p", "decimal_above_max_value")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":\"1\"}", HttpStatusCode.BadRequest, "n", "invalid_type")]
    [InlineData("{\"model\":\"nobody\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", HttpStatusCode.NotFound, "model", "model_not_found")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":50000}", HttpStatusCode.BadRequest, "messages", "context_length_exceeded")]
    public async Task Bad_requests_get_a_status_and_the_envelope(string body, HttpStatusCode status, string? param, string? code)
    {
        using var response = await _server.PostAsync(body);
        Assert.Equal(status, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", param, code);
    }

    [Fact]
    public async Task Nothing_of_a_prompt_is_logged()
    {
        await _server.AnswerAsync("""{"model":"tiny","messages":[{"role":"user","content":"my-secret-words"}],"user":"my-secret-name","max_tokens":1}""");
        (await _server.PostAsync("""{"model":"tiny","messages":[{"role":"user","content":"my-secret-words"}],"n":"my-secret-number"}""")).Dispose();
        Assert.Contains("1 completion tokens", _server.Output);
        Assert.DoesNotContain("my-secret", _server.Output);
    }

    private static string FreshSalt() => $",\"cache_salt\":\"{Guid.NewGuid()}\"";

    private static string Body(string parameters) => $$"""{"model":"tiny","messages":[{"role":"user","content":"hello world"}],{{parameters}}}""";

    private static string ContentOf(JsonElement answer, int choice = 0) => answer.GetProperty("choices")[choice].GetProperty("message").GetProperty("content").GetString()!;

    private static IEnumerable<string> LogProbsOf(JsonElement choice) =>
        choice.GetProperty("logprobs").ValueKind == JsonValueKind.Null ? [] : choice.GetProperty("logprobs").GetProperty("content").EnumerateArray().Select(item => item.GetRawText());
}
