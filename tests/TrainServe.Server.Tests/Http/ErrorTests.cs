using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class ErrorTests : IAsyncLifetime
{
    private readonly ScriptedEngine _engine = ScriptedEngine.Saying('h');
    private TestServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await TestServer.StartAsync(_engine, "--max-body-bytes", "65536", "--max-messages", "5");

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task An_unknown_route_is_404_with_the_envelope()
    {
        using var response = await _server.Client.GetAsync("/v1/nothing");
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal("Invalid URL (GET /v1/nothing)", await Envelope.AssertAsync(response, "invalid_request_error", null, null));
    }

    [Fact]
    public async Task A_wrong_method_is_405_and_says_which_are_right()
    {
        using var response = await _server.Client.DeleteAsync("/v1/chat/completions");
        Assert.Equal(HttpStatusCode.MethodNotAllowed, response.StatusCode);
        Assert.Equal(["POST"], response.Content.Headers.Allow);
        await Envelope.AssertAsync(response, "invalid_request_error", null, null);
    }

    [Fact]
    public async Task A_body_that_is_too_large_is_413()
    {
        foreach (bool chunked in (bool[])[false, true])
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new ByteArrayContent(new byte[100_000]) };
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            request.Headers.TransferEncodingChunked = chunked;
            using var response = await _server.Client.SendAsync(request);
            Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
            await Envelope.AssertAsync(response, "invalid_request_error", null, null);
        }
    }

    [Theory]
    [InlineData("text/plain", null)]
    [InlineData("application/json; charset=utf-16", null)]
    [InlineData("multipart/form-data; boundary=x", null)]
    [InlineData("application/json", "gzip")]
    [InlineData("application/json", "identity, br")]
    public async Task Another_media_type_or_encoding_is_415(string type, string? encoding)
    {
        using var content = new ByteArrayContent("{}"u8.ToArray());
        content.Headers.TryAddWithoutValidation("Content-Type", type);
        if (encoding is not null)
        {
            content.Headers.TryAddWithoutValidation("Content-Encoding", encoding);
        }
        using var response = await _server.Client.PostAsync("/v1/chat/completions", content);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", null, null);
    }

    [Fact]
    public async Task A_request_without_a_media_type_is_415()
    {
        using var response = await _server.Client.PostAsync("/v1/chat/completions", null);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", null, null);
    }

    [Theory]
    [InlineData("{}", "messages", "missing_required_parameter")]
    [InlineData("null", null, null)]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"content\":\"\\udc00\"}]}", "messages[0].content", "invalid_value")]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":1e999}", "temperature", "decimal_above_max_value")]
    [InlineData("{\"messages\":[1,2,3,4,5,6]}", "messages[0]", "invalid_type")]
    public async Task A_bad_body_is_400_and_names_the_field(string body, string? param, string? code)
    {
        using var response = await _server.PostAsync(body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", param, code);
    }

    [Theory]
    [InlineData("\"model\":\"other\",")]
    [InlineData("\"model\":\"Tiny\",")]
    [InlineData("\"model\":null,")]
    [InlineData("")]
    public async Task A_model_that_is_not_served_or_not_named_is_404(string model)
    {
        using var response = await _server.PostAsync($$"""{{{model}}"messages":[{"role":"user","content":"x"}]}""");
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", "model", "model_not_found");
    }

    [Fact]
    public async Task A_prompt_or_an_answer_too_long_for_the_context_is_refused_with_its_length()
    {
        using var prompt = await _server.PostAsync($$"""{"model":"tiny","messages":[{"role":"user","content":"{{new string('x', 100)}}"}]}""");
        Assert.Equal(
            "This model's maximum context length is 64 tokens. However, your messages resulted in 104 tokens. Please reduce the length of the messages.",
            await Envelope.AssertAsync(prompt, "invalid_request_error", "messages", "context_length_exceeded"));
        using var answer = await _server.ChatAsync("\"max_tokens\":50");
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.StartsWith(
            "This model's maximum context length is 64 tokens. However, you requested 65 tokens (15 in the messages, 50 in the completion).",
            await Envelope.AssertAsync(answer, "invalid_request_error", "messages", "context_length_exceeded"));
        using var text = await _server.PostAsync($$"""{"model":"tiny","messages":[{"role":"user","content":"{{new string('x', 60_000)}}"}]}""");
        Assert.Contains("60000 bytes", await Envelope.AssertAsync(text, "invalid_request_error", "messages", "context_length_exceeded"));
    }

    [Fact]
    public async Task A_token_id_outside_the_vocabulary_is_refused()
    {
        using var response = await _server.ChatAsync("\"logit_bias\":{\"100000\":1}");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", "logit_bias", "invalid_value");
    }

    [Theory]
    [InlineData("temperature", -0.001, 0, 2, 2.001)]
    [InlineData("top_p", -0.001, 0, 1, 1.001)]
    [InlineData("min_p", -0.001, 0, 1, 1.001)]
    [InlineData("frequency_penalty", -2.001, -2, 2, 2.001)]
    [InlineData("presence_penalty", -2.001, -2, 2, 2.001)]
    [InlineData("repetition_penalty", 0.0099, 0.01, 100, 100.001)]
    public async Task What_is_let_in_is_what_the_engine_takes(string name, double below, double least, double most, double above)
    {
        _engine.Check = request => request.Sampling.Validated(262);
        foreach (double value in (double[])[least, most])
        {
            using var answer = await _server.ChatAsync(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"\"{name}\":{value}"));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        foreach (double value in (double[])[below, above])
        {
            using var refused = await _server.ChatAsync(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"\"{name}\":{value}"));
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        }
    }

    [Fact]
    public async Task A_host_that_is_not_ours_is_refused()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        request.Headers.Host = "evil.example";
        using var response = await _server.Client.SendAsync(request);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", null, null);
    }

    [Fact]
    public async Task A_length_said_twice_is_refused()
    {
        string answer = await SendRawAsync(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 400 ", answer);
        Assert.Contains("must not have both", answer);
    }

    [Theory]
    [InlineData(414)]
    [InlineData(431)]
    public async Task An_unreasonable_head_is_refused_with_the_envelope(int status)
    {
        string answer = await SendRawAsync(status == 414
            ? $"GET /{new string('a', 9000)} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            : $"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {new string('a', 40000)}\r\n\r\n");
        Assert.StartsWith($"HTTP/1.1 {status} ", answer);
        Assert.Contains("\"type\":\"invalid_request_error\"", answer);
        Assert.Contains("x-request-id: ", answer);
    }

    [Theory]
    [InlineData("GARBAGE\r\n\r\n", 400)]
    [InlineData("GET /v1/models HTTP/1.1\r\n\r\n", 400)]
    [InlineData("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n", 400)]
    [InlineData("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400)]
    [InlineData("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: gzip\r\n\r\n", 400)]
    [InlineData("GET /v1/models HTTP/7.0\r\nHost: localhost\r\n\r\n", 505)]
    public async Task What_is_not_HTTP_gets_the_envelope_too(string request, int status)
    {
        string answer = await SendRawAsync(request);
        Assert.StartsWith($"HTTP/1.1 {status} ", answer);
        Assert.Contains("Content-Type: application/json", answer);
        Assert.Contains("x-request-id: ", answer);
        Assert.Contains("\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}", answer);
    }

    [Fact]
    public async Task A_head_beyond_all_measure_gets_the_envelope_too()
    {
        string answer = await SendRawAsync($"GET /{new string('a', 100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 414 ", answer);
        Assert.Contains("\"type\":\"invalid_request_error\"", answer);
    }

    [Fact]
    public async Task The_callers_own_request_id_comes_back()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        request.Headers.Add("x-request-id", "mine-1");
        using var response = await _server.Client.SendAsync(request);
        Assert.Equal("mine-1", response.Headers.GetValues("x-request-id").Single());
    }

    [Fact]
    public async Task Models_are_listed_and_described()
    {
        var model = (await _server.GetAsync("/v1/models")).GetProperty("data").EnumerateArray().Single();
        Assert.Equal(model.GetRawText(), (await _server.GetAsync("/v1/models/tiny")).GetRawText());
        Assert.Equal(("tiny", "model", "trainserve", 86400L), (
            model.GetProperty("id").GetString(), model.GetProperty("object").GetString(), model.GetProperty("owned_by").GetString(), model.GetProperty("created").GetInt64()));
        var metadata = model.GetProperty("metadata");
        Assert.Equal((64, "fp32", "init"), (
            metadata.GetProperty("context_length").GetInt32(), metadata.GetProperty("precision").GetString(), metadata.GetProperty("lineage").GetProperty("stage").GetString()));
        Assert.True(metadata.GetProperty("parameters").GetInt64() > 1000);

        using var missing = await _server.Client.GetAsync("/v1/models/other");
        Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);
        await Envelope.AssertAsync(missing, "invalid_request_error", "model", "model_not_found");
    }

    [Fact]
    public async Task The_description_has_every_parameter_and_route()
    {
        var document = await _server.GetAsync("/openapi/v1.json");
        var paths = document.GetProperty("paths");
        Assert.Equal(
            ["/admin/alias", "/admin/load", "/admin/models", "/admin/reload", "/admin/unload", "/apply-template", "/detokenize", "/health/live", "/health/ready", "/metrics", "/score", "/tokenize", "/v1/chat/completions", "/v1/chat/completions/{id}", "/v1/completions", "/v1/embeddings", "/v1/feedback", "/v1/feedback/{id}", "/v1/messages", "/v1/messages/count_tokens",
                "/v1/models", "/v1/models/{id}", "/v1/responses", "/v1/responses/{id}"],
            paths.EnumerateObject().Select(path => path.Name).Order(StringComparer.Ordinal));
        foreach (var table in TrainServe.Server.Documentation.ParameterPage.Tables)
        {
            var body = paths.GetProperty(table.Route["POST ".Length..]).GetProperty("post").GetProperty("requestBody").GetProperty("content").GetProperty("application/json").GetProperty("schema");
            Assert.Equal(table.All.Select(parameter => parameter.Name), body.GetProperty("properties").EnumerateObject().Select(property => property.Name));
            Assert.All(table.All, parameter => Assert.Equal(parameter.Sentence, body.GetProperty("properties").GetProperty(parameter.Name).GetProperty("description").GetString()));
        }
        using var page = await _server.Client.GetAsync("/scalar");
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
    }

    [Fact]
    public async Task The_page_of_parameters_has_every_row_of_every_table()
    {
        string page = await _server.Client.GetStringAsync("/docs");
        foreach (var parameter in TrainServe.Server.Documentation.ParameterPage.Tables.SelectMany(table => table.All))
        {
            Assert.Contains($"<code>{parameter.Name}</code>", page);
            Assert.Contains(System.Text.Encodings.Web.HtmlEncoder.Default.Encode(parameter.Sentence), page);
        }
    }

    [Fact]
    public void The_server_does_not_bring_TorchSharp()
    {
        string dependencies = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "TrainServe.Server.deps.json"));
        using var document = JsonDocument.Parse(dependencies);
        Assert.Contains(document.RootElement.GetProperty("libraries").EnumerateObject(), library => library.Name.StartsWith("TrainServe.Server/", StringComparison.Ordinal));
        Assert.DoesNotContain("torch", dependencies, StringComparison.OrdinalIgnoreCase);
    }

    private async Task<string> SendRawAsync(string request)
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", _server.Client.BaseAddress!.Port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(request));
        byte[] buffer = new byte[4096];
        var answer = new StringBuilder();
        client.ReceiveTimeout = 5000;
        while (!answer.ToString().Contains("\r\n0\r\n\r\n", StringComparison.Ordinal) && await client.GetStream().ReadAsync(buffer) is > 0 and var read)
        {
            answer.Append(Encoding.ASCII.GetString(buffer, 0, read));
        }
        return answer.ToString();
    }
}
