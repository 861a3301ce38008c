using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class EmbeddingsTests
{
    private const string Path = "/v1/embeddings";

    [Fact]
    public async Task Texts_become_vectors_of_length_one_as_numbers_or_bytes()
    {
        var engine = ScriptedEngine.Saying('h');
        engine.Embed = ids => [ids.Count, 4];
        await using var server = await TestServer.StartAsync(engine);
        var answer = await server.AnswerAsync(Path, """{"model":"tiny","input":["ab","a"]}""");
        Assert.Equal(["list", "tiny"], [answer.GetProperty("object").GetString(), answer.GetProperty("model").GetString()]);
        Assert.Equal([0, 1], answer.GetProperty("data").EnumerateArray().Select(item => item.GetProperty("index").GetInt32()));
        // The token that begins texts counts: three tokens and two.
        Assert.Equal([0.6f, 0.8f], Vector(answer, 0));
        Assert.Equal(5, answer.GetProperty("usage").GetProperty("total_tokens").GetInt32());
        var bytes = await server.AnswerAsync(Path, """{"model":"tiny","input":"ab","encoding_format":"base64"}""");
        Assert.Equal([0.6f, 0.8f], MemoryMarshal.Cast<byte, float>(bytes.GetProperty("data")[0].GetProperty("embedding").GetBytesFromBase64()).ToArray());
    }

    [Theory]
    [InlineData("{\"model\":\"tiny\"}", "input", "missing_required_parameter")]
    [InlineData("{\"model\":\"tiny\",\"input\":[]}", "input", "empty_array")]
    [InlineData("{\"model\":\"tiny\",\"input\":\"a\",\"dimensions\":5}", "dimensions", "unsupported_parameter")]
    [InlineData("{\"model\":\"tiny\",\"input\":\"a\",\"encoding_format\":\"hex\"}", "encoding_format", "invalid_value")]
    [InlineData("{\"model\":\"tiny\",\"input\":[[70000]]}", "input", "invalid_value")]
    [InlineData("{\"model\":\"tiny\",\"input\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", "input", "context_length_exceeded")]
    [InlineData("{\"model\":\"tiny\",\"input\":\"a\"}", "model", "unsupported_model")]
    public async Task What_cannot_be_done_is_refused(string body, string param, string code)
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h'));
        using var response = await server.PostToAsync(Path, body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", param, code);
    }

    private static float[] Vector(JsonElement answer, int index) => [.. answer.GetProperty("data")[index].GetProperty("embedding").EnumerateArray().Select(number => number.GetSingle())];
}
