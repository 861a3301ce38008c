using System.Net;
using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class ScoreTests
{
    private const string Path = "/score";

    [Fact]
    public async Task Each_answer_gets_its_score_with_what_it_answers()
    {
        var engine = ScriptedEngine.Saying('h');
        engine.Reward = ids => ids.Count;
        await using var server = await TestServer.StartAsync(engine);
        var one = await server.AnswerAsync(Path, """{"model":"tiny","messages":[{"role":"user","content":"ab"},{"role":"assistant","content":"c"}]}""");
        Assert.Equal(["list", "tiny"], [one.GetProperty("object").GetString(), one.GetProperty("model").GetString()]);
        // The token that begins texts, and two for the role and the end of each of both messages.
        Assert.Equal([1 + 4 + 3], Scores(one));
        Assert.Equal((8, 8), (one.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), one.GetProperty("usage").GetProperty("total_tokens").GetInt32()));
        Assert.StartsWith("fp_aaaa", one.GetProperty("system_fingerprint").GetString());
        Assert.Equal([8, 10], Scores(await server.AnswerAsync(Path, """{"model":"tiny","text_1":"ab","text_2":["c","cde"]}""")));
        Assert.Equal([8, 11], Scores(await server.AnswerAsync(Path, """{"model":"tiny","text_1":["ab","abc"],"text_2":["c","cde"]}""")));
    }

    [Theory]
    [InlineData("{\"model\":\"tiny\"}", "messages", "invalid_parameter_combination")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "messages[0].role", "invalid_value")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}", "messages", "invalid_value")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[],\"text_1\":\"a\"}", "messages", "empty_array")]
    [InlineData("{\"model\":\"tiny\",\"text_1\":\"a\"}", "text_2", "missing_required_parameter")]
    [InlineData("{\"model\":\"tiny\",\"text_2\":\"a\"}", "text_1", "missing_required_parameter")]
    [InlineData("{\"model\":\"tiny\",\"text_1\":[\"a\",\"b\"],\"text_2\":[\"a\",\"b\",\"c\"]}", "text_1", "invalid_value")]
    [InlineData("{\"model\":\"tiny\",\"text_1\":\"a\",\"text_2\":[]}", "text_2", "empty_array")]
    [InlineData("{\"model\":\"tiny\",\"text_1\":\"a\",\"text_2\":[5]}", "text_2[0]", "invalid_type")]
    [InlineData("{\"model\":\"tiny\",\"text_1\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"text_2\":\"b\"}", "messages", "context_length_exceeded")]
    [InlineData("{\"model\":\"tiny\",\"text_1\":\"a\",\"text_2\":\"b\"}", "model", "unsupported_model")]
    public async Task What_cannot_be_done_is_refused(string body, string param, string code)
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h'));
        using var response = await server.PostToAsync(Path, body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", param, code);
    }

    private static IEnumerable<int> Scores(JsonElement answer) => answer.GetProperty("data").EnumerateArray().Select((item, i) =>
    {
        Assert.Equal((i, "score"), (item.GetProperty("index").GetInt32(), item.GetProperty("object").GetString()));
        return item.GetProperty("score").GetInt32();
    });
}
