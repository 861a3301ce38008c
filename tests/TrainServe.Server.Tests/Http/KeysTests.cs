using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using TrainServe.Inference;
using TrainServe.Server.Security;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class KeysTests
{
    [Fact]
    public async Task Every_route_but_health_needs_a_key_once_there_are_keys()
    {
        await using var server = await StartAsync(ScriptedEngine.Saying('h'), Key(0, "ann", "ann-secret"));
        foreach (string path in (string[])["/v1/models", "/v1/nothing", "/openapi/v1.json", "/scalar", "/docs", "/admin/models", "/v1/chat/completions"])
        {
            using var response = await server.Client.GetAsync(path);
            Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
            Assert.Equal("Bearer", response.Headers.WwwAuthenticate.Single().Scheme);
            await Envelope.AssertAsync(response, "authentication_error", null, null);
        }
        foreach (string path in (string[])["/health/live", "/health/ready"])
        {
            Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync(path)).StatusCode);
        }
    }

    [Fact]
    public async Task A_key_is_taken_as_OpenAIs_and_as_Anthropics_clients_send_it()
    {
        await using var server = await StartAsync(ScriptedEngine.Saying('h'), Key(0, "ann", "ann-secret"));
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "wrong");
        using (var wrong = await server.ChatAsync())
        {
            Assert.Equal(HttpStatusCode.Unauthorized, wrong.StatusCode);
            Assert.DoesNotContain("wrong", await Envelope.AssertAsync(wrong, "authentication_error", null, "invalid_api_key"));
        }
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "ann-secret");
        Assert.Equal(HttpStatusCode.OK, (await server.ChatAsync()).StatusCode);
        server.Client.DefaultRequestHeaders.Authorization = null;
        server.Client.DefaultRequestHeaders.Add("x-api-key", "ann-secret");
        Assert.Equal(HttpStatusCode.OK, (await server.PostToAsync("/v1/messages", """{"model":"tiny","max_tokens":4,"messages":[{"role":"user","content":"a"}]}""")).StatusCode);
    }

    [Fact]
    public async Task The_admin_routes_need_a_key_of_their_own()
    {
        await using (var open = await StartAsync(ScriptedEngine.Saying('h')))
        {
            using var refused = await open.Client.GetAsync("/admin/models");
            Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
            await Envelope.AssertAsync(refused, "permission_error", null, null);
        }
        await using var server = await StartAsync(ScriptedEngine.Saying('h'), Key(0, "ann", "ann-secret"), Key(1, "root", "root-secret"), ["--TrainServe:Keys:1:Scopes=admin"]);
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "ann-secret");
        Assert.Equal(HttpStatusCode.Forbidden, (await server.Client.GetAsync("/admin/models")).StatusCode);
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "root-secret");
        Assert.NotEqual(HttpStatusCode.Forbidden, (await server.Client.GetAsync("/admin/models")).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await server.ChatAsync()).StatusCode);
    }

    [Fact]
    public async Task Requests_beyond_the_limit_are_429_with_headers_and_others_are_served()
    {
        await using var server = await StartAsync(ScriptedEngine.Saying('h'), Key(0, "ann", "ann-secret"), ["--TrainServe:Keys:0:RequestsPerMinute=2"], Key(1, "bob", "bob-secret"));
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "ann-secret");
        for (int left = 1; left >= 0; left--)
        {
            using var answer = await server.ChatAsync();
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.Equal(("2", left.ToString(CultureInfo.InvariantCulture)), (Header(answer, "x-ratelimit-limit-requests"), Header(answer, "x-ratelimit-remaining-requests")));
            Assert.Matches("^[0-9.]+(s|ms|m)", Header(answer, "x-ratelimit-reset-requests"));
        }
        using var refused = await server.ChatAsync();
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.StartsWith("Rate limit reached for the key 'ann' on requests per min: Limit 2, Remaining 0, Requested 1. Please try again in ", await Envelope.AssertAsync(refused, "rate_limit_error", null, "rate_limit_exceeded"));
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 30);
        Assert.Equal("0", Header(refused, "x-ratelimit-remaining-requests"));
        Assert.Equal("0", Header(refused, "anthropic-ratelimit-requests-remaining"));
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "bob-secret");
        using var other = await server.ChatAsync();
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);
        Assert.False(other.Headers.Contains("x-ratelimit-limit-requests"));
    }

    [Theory]
    [InlineData("/tokenize", "\"prompt\":\"a\"")]
    [InlineData("/detokenize", "\"tokens\":[97]")]
    [InlineData("/apply-template", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]")]
    [InlineData("/v1/messages/count_tokens", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]")]
    [InlineData("/v1/embeddings", "\"input\":\"a\"")]
    [InlineData("/score", "\"text_1\":\"a\",\"text_2\":\"b\"")]
    public async Task Whatever_makes_work_counts_as_a_request(string path, string fields)
    {
        var engine = ScriptedEngine.Saying('h');
        (engine.Embed, engine.Reward) = (_ => [1], _ => 1);
        await using var server = await StartAsync(engine, Key(0, "ann", "ann-secret"), ["--TrainServe:Keys:0:RequestsPerMinute=1"]);
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "ann-secret");
        Assert.Equal(HttpStatusCode.OK, (await server.PostToAsync(path, $"{{\"model\":\"tiny\",{fields}}}")).StatusCode);
        using var refused = await server.PostToAsync(path, $"{{\"model\":\"tiny\",{fields}}}");
        Assert.Equal((HttpStatusCode.TooManyRequests, "1"), (refused.StatusCode, Header(refused, "x-ratelimit-limit-requests")));
    }

    [Fact]
    public async Task Tokens_of_prompt_and_answer_count_together()
    {
        // 15 tokens of prompt and 3 of answer.
        await using var server = await StartAsync(ScriptedEngine.Saying('h', 'i'), Key(0, "ann", "ann-secret"), ["--TrainServe:Keys:0:TokensPerMinute=30"]);
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "ann-secret");
        using (var answer = await server.ChatAsync("\"stream\":true"))
        {
            Assert.Equal(("30", "15"), (Header(answer, "x-ratelimit-limit-tokens"), Header(answer, "x-ratelimit-remaining-tokens")));
            await answer.Content.ReadAsStringAsync();
        }
        await Eventually.AssertAsync(async () =>
        {
            using var refused = await server.ChatAsync();
            return refused.StatusCode == HttpStatusCode.TooManyRequests && (await Envelope.AssertAsync(refused, "rate_limit_error", null, "rate_limit_exceeded")).Contains("on tokens per min: Limit 30, Remaining 12", StringComparison.Ordinal);
        });
    }

    [Fact]
    public async Task A_full_queue_names_a_time_from_the_measured_rate()
    {
        bool full = false;
        var engine = new ScriptedEngine { Script = (_, _) => full ? throw new QueueFullException(400, 99) : Say() };
        await using var server = await StartAsync(engine);
        for (int i = 0; i < 4; i++)
        {
            (await server.ChatAsync()).Dispose();
        }
        full = true;
        using var refused = await server.ChatAsync();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        // Each answer takes about 50 ms, half of the queue is 200.
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 5, 120);

        static async IAsyncEnumerable<GeneratedToken> Say()
        {
            await Task.Delay(50);
            yield return ScriptedEngine.Token('h', FinishReason.Length);
        }
    }

    [Fact]
    public async Task Web_pages_of_named_origins_may_call()
    {
        await using var server = await StartAsync(ScriptedEngine.Saying('h'), ["--cors-origins", "https://chat.example"], Key(0, "ann", "ann-secret"));
        Assert.Equal("https://chat.example", await PreflightAsync("https://chat.example"));
        Assert.Null(await PreflightAsync("https://evil.example"));

        async Task<string?> PreflightAsync(string origin)
        {
            using var request = new HttpRequestMessage(HttpMethod.Options, "/v1/chat/completions");
            request.Headers.Add("Origin", origin);
            request.Headers.Add("Access-Control-Request-Method", "POST");
            request.Headers.Add("Access-Control-Request-Headers", "authorization,content-type");
            using var response = await server.Client.SendAsync(request);
            return response.Headers.TryGetValues("Access-Control-Allow-Origin", out var values) ? values.Single() : null;
        }
    }

    private static string? Header(HttpResponseMessage response, string name) => response.Headers.TryGetValues(name, out var values) ? values.Single() : null;

    private static string[] Key(int index, string name, string secret) =>
        [$"--TrainServe:Keys:{index}:Name={name}", $"--TrainServe:Keys:{index}:Sha256={Convert.ToHexString(ApiKey.Hash(secret))}"];

    private static Task<TestServer> StartAsync(ScriptedEngine engine, params string[][] args) => TestServer.StartAsync(engine, [.. args.SelectMany(arg => arg)]);
}
