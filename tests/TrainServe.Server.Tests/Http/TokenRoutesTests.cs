using System.Net;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class TokenRoutesTests : IAsyncLifetime
{
    private TestServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await TestServer.StartAsync(ScriptedEngine.Saying('h'));

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_text_becomes_tokens_and_comes_back()
    {
        int bos = _server.Tokenizer.Special.BosId;
        var tokens = await _server.AnswerAsync("/tokenize", """{"model":"tiny","prompt":"hé","return_token_strs":true}""");
        Assert.Equal($$"""{"count":4,"max_model_len":64,"tokens":[{{bos}},104,195,169],"token_strs":["<|endoftext|>","h","{{"\uFFFD"}}","{{"\uFFFD"}}"]}""", tokens.GetRawText());
        var text = await _server.AnswerAsync("/detokenize", $$"""{"model":"tiny","tokens":[{{bos}},104,195,169]}""");
        Assert.Equal("<|endoftext|>hé", text.GetProperty("prompt").GetString());
        var plain = await _server.AnswerAsync("/tokenize", """{"model":"tiny","prompt":"<|end|>","add_special_tokens":false}""");
        Assert.Equal(7, plain.GetProperty("count").GetInt32());
    }

    [Fact]
    public async Task A_conversation_is_shown_as_the_model_sees_it()
    {
        const string messages = """[{"role":"system","content":"a"},{"role":"user","content":"b"}]""";
        var shown = await _server.AnswerAsync("/apply-template", $$"""{"model":"tiny","messages":{{messages}}}""");
        Assert.Equal("<|endoftext|><|system|>a<|end|><|user|>b<|end|><|assistant|>", shown.GetProperty("prompt").GetString());
        Assert.Equal("trainserve", shown.GetProperty("template").GetString());
        var tokens = await _server.AnswerAsync("/tokenize", $$"""{"model":"tiny","messages":{{messages}}}""");
        Assert.Equal(shown.GetProperty("tokens").GetRawText(), tokens.GetProperty("tokens").GetRawText());
    }

    [Theory]
    [InlineData("/tokenize", "{\"model\":\"tiny\"}", "prompt", "invalid_parameter_combination")]
    [InlineData("/tokenize", "{\"model\":\"tiny\",\"prompt\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "prompt", "invalid_parameter_combination")]
    [InlineData("/detokenize", "{\"model\":\"tiny\"}", "tokens", "missing_required_parameter")]
    [InlineData("/detokenize", "{\"model\":\"tiny\",\"tokens\":[70000]}", "tokens", "invalid_value")]
    [InlineData("/detokenize", "{\"model\":\"tiny\",\"tokens\":[-1]}", "tokens[0]", "integer_below_min_value")]
    [InlineData("/apply-template", "{\"model\":\"tiny\"}", "messages", "missing_required_parameter")]
    public async Task What_is_wrong_is_400(string path, string body, string param, string code)
    {
        using var response = await _server.PostToAsync(path, body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", param, code);
    }
}
