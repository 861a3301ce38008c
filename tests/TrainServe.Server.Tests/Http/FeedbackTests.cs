using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.Data.Sqlite;
using TrainServe.Core.Chat;
using TrainServe.Feedback;
using TrainServe.Inference;
using TrainServe.Server.Security;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class FeedbackTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string File => _directory.PathOf("feedback.db");

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _directory.Dispose();
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"tiny","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hello"}],"n":2,""", 2)]
    [InlineData("/v1/responses", """{"model":"tiny","instructions":"Be brief.","input":"hello",""", 1)]
    public async Task An_answer_is_kept_with_all_that_training_needs_whole_or_streamed(string route, string what, int choices)
    {
        await using var server = await StartAsync();
        foreach (bool stream in (bool[])[false, true])
        {
            string body = what + $$"""
                "store":true,"stream":{{(stream ? "true" : "false")}},"metadata":{"page":"home"},"temperature":0.5,"seed":7}
                """;
            string id = stream ? IdOf((await server.StreamAsync(route, body)).Data[0]) : IdOf(await server.AnswerAsync(route, body));
            var answer = await KeptAsync(id);
            Assert.Equal(("", "tiny", new string('a', 64)), (answer!.Key, answer.Model, answer.ModelVersion));
            Assert.Equal([ChatMessage.System("Be brief."), ChatMessage.User("hello")], answer.Prompt);
            Assert.Equal(Enumerable.Repeat(new StoredChoice(ChatMessage.Assistant("hi"), "stop"), choices), answer.Choices);
            Assert.Equal((0.5f, 7L), (answer.Sampling.Temperature, answer.Sampling.Seed!.Value));
            Assert.Equal("home", answer.Metadata["page"]);
        }
        Assert.Equal(2, (await MetricsAsync(server))["trainserve:answers_stored_total{model_name=\"tiny\"}"]);

        static string IdOf(JsonElement answer) => answer.TryGetProperty("response", out var response) ? response.GetProperty("id").GetString()! : answer.GetProperty("id").GetString()!;
    }

    [Fact]
    public async Task Nothing_is_kept_of_who_did_not_ask_for_it_or_did_not_get_an_answer()
    {
        var engine = ScriptedEngine.Saying('h', 'i');
        await using var server = await StartAsync(engine);
        foreach (string parameters in (string[])["", "\"store\":false", "\"store\":null,\"metadata\":{\"a\":\"b\"}", "\"stream\":true"])
        {
            using var answer = await server.ChatAsync(parameters);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        engine.Script = (_, _) => Fail();
        using (var failed = await server.ChatAsync("\"store\":true"))
        {
            Assert.Equal(HttpStatusCode.InternalServerError, failed.StatusCode);
        }
        engine.Script = (_, _) => Say();
        string id = await ChatAsync(server);
        await KeptAsync(id);
        Assert.Equal(1L, Scalar("SELECT count(*) FROM answers"));

        static async IAsyncEnumerable<GeneratedToken> Fail()
        {
            yield return ScriptedEngine.Token('h');
            await Task.Yield();
            throw new InvalidOperationException("broken");
        }

        static async IAsyncEnumerable<GeneratedToken> Say()
        {
            await Task.Yield();
            yield return ScriptedEngine.Token('h', FinishReason.Length);
        }
    }

    [Fact]
    public async Task Feedback_is_made_read_replaced_and_taken_back()
    {
        await using var server = await StartAsync();
        string id = await ChatAsync(server, "\"n\":2");
        using var made = await SayAsync(server, $$"""{"response_id":"{{id}}","choice":1,"rating":"down","score":2,"edit":"ho","comment":"wrong","labels":["math","tone"]}""");
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        var feedback = await made.Content.ReadFromJsonAsync<JsonElement>();
        string name = feedback.GetProperty("id").GetString()!;
        Assert.Equal($"/v1/feedback/{name}", made.Headers.Location!.ToString());
        Assert.Equal(["id", "created", "response_id", "choice", "rating", "score", "edit", "preferred_over", "comment", "labels", "object"], feedback.EnumerateObject().Select(field => field.Name));
        Assert.Equal((id, 1, "down", 2, "ho", "wrong", "feedback"), (feedback.GetProperty("response_id").GetString(), feedback.GetProperty("choice").GetInt32(), feedback.GetProperty("rating").GetString(),
            feedback.GetProperty("score").GetInt32(), feedback.GetProperty("edit").GetString(), feedback.GetProperty("comment").GetString(), feedback.GetProperty("object").GetString()));
        Assert.Equal(["math", "tone"], feedback.GetProperty("labels").EnumerateArray().Select(label => label.GetString()));

        // Said again it takes the place of what was said: under the same name, as a whole.
        using var again = await SayAsync(server, $$"""{"response_id":"{{id}}","choice":1,"rating":"up"}""");
        Assert.Equal(HttpStatusCode.OK, again.StatusCode);
        var now = await server.GetAsync($"/v1/feedback/{name}");
        Assert.Equal((name, "up", JsonValueKind.Null, JsonValueKind.Null, 0), (now.GetProperty("id").GetString(), now.GetProperty("rating").GetString(), now.GetProperty("score").ValueKind, now.GetProperty("edit").ValueKind, now.GetProperty("labels").GetArrayLength()));

        // Another choice, and each comparison, is another thing.
        using var other = await SayAsync(server, $$"""{"response_id":"{{id}}","choice":0,"rating":"up"}""");
        using var compared = await SayAsync(server, $$"""{"response_id":"{{id}}","choice":0,"preferred_over":1}""");
        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.Created), (other.StatusCode, compared.StatusCode));
        var over = (await compared.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("preferred_over");
        Assert.Equal((id, 1), (over.GetProperty("response_id").GetString(), over.GetProperty("choice").GetInt32()));
        string second = await ChatAsync(server);
        using var across = await SayAsync(server, $$$"""{"response_id":"{{{second}}}","preferred_over":{"response_id":"{{{id}}}","choice":1}}""");
        Assert.Equal(HttpStatusCode.Created, across.StatusCode);
        Assert.Equal(4L, Scalar("SELECT count(*) FROM feedback"));

        using var deleted = await server.Client.DeleteAsync($"/v1/feedback/{name}");
        Assert.Equal($$"""{"id":"{{name}}","object":"feedback.deleted","deleted":true}""", await deleted.Content.ReadAsStringAsync());
        foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Delete])
        {
            using var gone = await server.Client.SendAsync(new HttpRequestMessage(method, $"/v1/feedback/{name}"));
            Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
            await Envelope.AssertAsync(gone, "invalid_request_error", null, "feedback_not_found");
        }
        var metrics = await MetricsAsync(server);
        Assert.Equal((1, 2, 1, 1, 2, 1, 1), (metrics["trainserve:feedback_total{kind=\"down\"}"], metrics["trainserve:feedback_total{kind=\"up\"}"], metrics["trainserve:feedback_total{kind=\"score\"}"],
            metrics["trainserve:feedback_total{kind=\"edit\"}"], metrics["trainserve:feedback_total{kind=\"preference\"}"], metrics["trainserve:feedback_total{kind=\"comment\"}"], metrics["trainserve:feedback_total{kind=\"labels\"}"]));
    }

    [Theory]
    [InlineData("""{"rating":"up"}""", "response_id", "missing_required_parameter", null)]
    [InlineData("""{"response_id":"ID"}""", "rating", "missing_required_parameter", null)]
    [InlineData("""{"response_id":"ID","labels":[]}""", "rating", "missing_required_parameter", null)]
    [InlineData("""{"response_id":"ID","rating":"sideways"}""", "rating", "invalid_value", "Supported values are: 'up' and 'down'.")]
    [InlineData("""{"response_id":"ID","score":6}""", "score", "integer_above_max_value", "Expected a value <= 5, but got 6 instead.")]
    [InlineData("""{"response_id":"ID","score":0}""", "score", "integer_below_min_value", null)]
    [InlineData("""{"response_id":"ID","rating":"up","score":2}""", "score", "invalid_parameter_combination", "2 contradicts the rating 'up'")]
    [InlineData("""{"response_id":"ID","rating":"down","score":4}""", "score", "invalid_parameter_combination", "4 contradicts the rating 'down'")]
    [InlineData("""{"response_id":"ID","rating":"up","choice":2}""", "choice", "invalid_value", "the response has 2 choices")]
    [InlineData("""{"response_id":"ID","edit":" hi "}""", "edit", "invalid_value", "the same text as the answer")]
    [InlineData("""{"response_id":"ID","edit":" "}""", "edit", "string_below_min_length", null)]
    [InlineData("""{"response_id":"ID","comment":"a\u0000b"}""", "comment", "invalid_value", "U+0000")]
    [InlineData("""{"response_id":"ID","labels":["x",7]}""", "labels[1]", "invalid_type", null)]
    [InlineData("""{"response_id":"ID","preferred_over":0}""", "preferred_over", "invalid_value", "it is the choice itself")]
    [InlineData("""{"response_id":"ID","preferred_over":2}""", "preferred_over", "invalid_value", "the response has 2 choices")]
    [InlineData("""{"response_id":"ID","preferred_over":{"choice":1}}""", "preferred_over.response_id", "missing_required_parameter", null)]
    [InlineData("""{"response_id":"ID","preferred_over":{"response_id":"ID","choice":9}}""", "preferred_over.choice", "invalid_value", null)]
    [InlineData("""{"response_id":"ID","preferred_over":{"response_id":"OTHER"}}""", "preferred_over", "invalid_value", "another conversation")]
    [InlineData("""{"response_id":"ID","preferred_over":"x"}""", "preferred_over", "invalid_type", null)]
    [InlineData("""{"response_id":"ID","rating":"up","thumbs":1}""", "thumbs", "unknown_parameter", null)]
    public async Task What_makes_no_sense_is_refused_with_the_field(string body, string param, string code, string? says)
    {
        await using var server = await StartAsync();
        string id = await ChatAsync(server, "\"n\":2");
        string other = (await server.AnswerAsync("/v1/chat/completions", """{"model":"tiny","messages":[{"role":"user","content":"other"}],"store":true}""")).GetProperty("id").GetString()!;
        using var response = await SayAsync(server, body.Replace("ID", id, StringComparison.Ordinal).Replace("OTHER", other, StringComparison.Ordinal));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        string message = await Envelope.AssertAsync(response, "invalid_request_error", param, code);
        Assert.Contains(says ?? "", message, StringComparison.Ordinal);
        Assert.Equal(0L, Scalar("SELECT count(*) FROM feedback"));
    }

    [Fact]
    public async Task Answers_and_feedback_of_another_key_are_unknown()
    {
        await using var server = await StartAsync(null, Key(0, "ann", "ann-secret"), Key(1, "bob", "bob-secret"));
        Become("ann-secret");
        string id = await ChatAsync(server);
        using var said = await SayAsync(server, $$"""{"response_id":"{{id}}","rating":"up"}""");
        string name = (await said.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("id").GetString()!;
        Become("bob-secret");
        string own = await ChatAsync(server);
        foreach (string unknown in (string[])[id, "chatcmpl-none", "", "../x", new string('x', 500), "a\\u0000b"])
        {
            using var refused = await SayAsync(server, $$"""{"response_id":"{{unknown}}","rating":"down"}""");
            Assert.Equal(HttpStatusCode.NotFound, refused.StatusCode);
            await Envelope.AssertAsync(refused, "invalid_request_error", "response_id", "response_not_found");
        }
        using (var compared = await SayAsync(server, $$$"""{"response_id":"{{{own}}}","preferred_over":{"response_id":"{{{id}}}"}}"""))
        {
            Assert.Equal(HttpStatusCode.NotFound, compared.StatusCode);
            await Envelope.AssertAsync(compared, "invalid_request_error", "preferred_over.response_id", "response_not_found");
        }
        foreach (var (method, path) in ((HttpMethod, string)[])[(HttpMethod.Get, $"/v1/feedback/{name}"), (HttpMethod.Delete, $"/v1/feedback/{name}"), (HttpMethod.Delete, $"/v1/chat/completions/{id}")])
        {
            using var response = await server.Client.SendAsync(new HttpRequestMessage(method, path));
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }
        server.Client.DefaultRequestHeaders.Authorization = null;
        using var nobody = await SayAsync(server, $$"""{"response_id":"{{id}}","rating":"down"}""");
        Assert.Equal(HttpStatusCode.Unauthorized, nobody.StatusCode);
        Become("ann-secret");
        Assert.Equal("up", (await server.GetAsync($"/v1/feedback/{name}")).GetProperty("rating").GetString());

        void Become(string secret) => server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", secret);
    }

    [Theory]
    [InlineData("/v1/chat/completions", "chat.completion.deleted", """{"model":"tiny","messages":[{"role":"user","content":"a secret"}],"store":true}""")]
    [InlineData("/v1/responses", "response.deleted", """{"model":"tiny","input":"a secret","store":true}""")]
    public async Task A_stored_answer_is_removed_with_its_feedback(string route, string kind, string body)
    {
        await using var server = await StartAsync();
        string id = (await server.AnswerAsync(route, body)).GetProperty("id").GetString()!;
        (await SayAsync(server, $$"""{"response_id":"{{id}}","comment":"a secret"}""")).Dispose();
        using (var wrong = await server.Client.DeleteAsync(route == "/v1/responses" ? $"/v1/chat/completions/{id}" : $"/v1/responses/{id}"))
        {
            Assert.Equal(HttpStatusCode.NotFound, wrong.StatusCode);
        }
        using var deleted = await server.Client.DeleteAsync($"{route}/{id}");
        Assert.Equal($$"""{"id":"{{id}}","object":"{{kind}}","deleted":true}""", await deleted.Content.ReadAsStringAsync());
        Assert.Equal((0L, 0L), (Scalar("SELECT count(*) FROM answers"), Scalar("SELECT count(*) FROM feedback")));
        using var again = await server.Client.DeleteAsync($"{route}/{id}");
        Assert.Equal(HttpStatusCode.NotFound, again.StatusCode);
        await Envelope.AssertAsync(again, "invalid_request_error", null, "response_not_found");
    }

    [Fact]
    public async Task Without_the_option_store_is_accepted_and_the_routes_name_the_option()
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h'));
        using (var answer = await server.ChatAsync("\"store\":true,\"metadata\":{\"a\":\"b\"}"))
        {
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        foreach (var (method, path) in ((HttpMethod, string)[])[(HttpMethod.Post, "/v1/feedback"), (HttpMethod.Get, "/v1/feedback/x"), (HttpMethod.Delete, "/v1/feedback/x"), (HttpMethod.Delete, "/v1/chat/completions/chatcmpl-x")])
        {
            using var response = await server.Client.SendAsync(new HttpRequestMessage(method, path) { Content = method == HttpMethod.Post ? new StringContent("{}", Encoding.UTF8, "application/json") : null });
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
            Assert.Contains("without the option Feedback (--feedback sqlite:PATH)", await Envelope.AssertAsync(response, "invalid_request_error", null, "feedback_not_enabled"), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_store_that_fails_fails_no_answer()
    {
        await using var server = await StartAsync();
        string id = await ChatAsync(server);
        Assert.NotNull(await KeptAsync(id));
        Scalar("DROP TABLE feedback");
        Scalar("DROP TABLE answers");
        // The answer is given, and what could not be kept is counted.
        string lost = await ChatAsync(server);
        await Eventually.AssertAsync(async () => (await MetricsAsync(server)).GetValueOrDefault("trainserve:answers_not_stored_total{model_name=\"tiny\",reason=\"store_failed\"}") == 1);
        using var said = await SayAsync(server, $$"""{"response_id":"{{lost}}","rating":"up"}""");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, said.StatusCode);
        Assert.NotNull(said.Headers.RetryAfter);
        string message = await Envelope.AssertAsync(said, "server_error", null, "feedback_unavailable");
        Assert.DoesNotContain("answers", message.Replace("kept of answers", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.DoesNotContain(_directory.FullName, message, StringComparison.Ordinal);
        Assert.True((await server.Client.GetAsync("/health/ready")).IsSuccessStatusCode);
    }

    [Fact]
    public async Task What_waits_when_the_server_stops_is_written_first()
    {
        var ids = new List<string>();
        await using (var server = await StartAsync())
        {
            using var blocker = new SqliteConnection($"Data Source={File}");
            blocker.Open();
            using (var block = blocker.BeginTransaction())
            {
                for (int i = 0; i < 20; i++)
                {
                    ids.Add(await ChatAsync(server));
                }
                Assert.Equal(0L, Scalar("SELECT count(*) FROM answers"));
                var stopped = server.StopAsync();
                block.Rollback();
                await stopped;
            }
        }
        Assert.Equal(20L, Scalar("SELECT count(*) FROM answers"));
        Assert.All(ids, id => Assert.Equal(id, Scalar($"SELECT id FROM answers WHERE id = '{id}'")));
    }

    [Fact]
    public async Task Answers_are_removed_after_the_days_that_were_set()
    {
        string old, young;
        await using (var server = await StartAsync())
        {
            (old, young) = (await ChatAsync(server), await ChatAsync(server));
        }
        Scalar(string.Create(CultureInfo.InvariantCulture, $"UPDATE answers SET created_ms = {DateTimeOffset.UtcNow.AddDays(-31).ToUnixTimeMilliseconds()} WHERE id = '{old}'"));
        await using var later = await StartAsync(null, ["--feedback-days", "30"]);
        await Eventually.AssertAsync(() => Scalar("SELECT count(*) FROM answers") is 1L);
        Assert.NotNull(await KeptAsync(young));
    }

    [Fact]
    public async Task A_store_that_cannot_be_used_is_a_sentence_at_the_start()
    {
        await System.IO.File.WriteAllTextAsync(File, new string('x', 4096));
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => StartAsync());
        Assert.Equal($"sqlite:{File} cannot hold feedback: SQLite Error 26: 'file is not a database'.", error.Message);
        var wrong = await Assert.ThrowsAsync<InvalidDataException>(() => TestServer.StartAsync(ScriptedEngine.Saying('h'), "--feedback", "postgres:Passwort=hush", "--feedback-days", "x"));
        Assert.StartsWith("TrainServe:FeedbackDays is 'x'; ", wrong.Message.Split(Environment.NewLine)[0], StringComparison.Ordinal);
        Assert.StartsWith("TrainServe:Feedback is wrong; what follows postgres: is not a connection string; it must be sqlite:PATH or postgres:", wrong.Message.Split(Environment.NewLine)[1], StringComparison.Ordinal);
        Assert.DoesNotContain("hush", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_routes_are_described()
    {
        await using var server = await StartAsync();
        var paths = (await server.GetAsync("/openapi/v1.json")).GetProperty("paths");
        var body = paths.GetProperty("/v1/feedback").GetProperty("post").GetProperty("requestBody").GetProperty("content").GetProperty("application/json").GetProperty("schema");
        Assert.Equal(["response_id", "choice", "rating", "score", "edit", "preferred_over", "comment", "labels"], body.GetProperty("properties").EnumerateObject().Select(property => property.Name));
        Assert.True(paths.GetProperty("/v1/feedback/{id}").TryGetProperty("delete", out _));
        Assert.True(paths.GetProperty("/v1/chat/completions/{id}").TryGetProperty("delete", out _));
        Assert.Contains("POST /v1/feedback", await server.Client.GetStringAsync("/docs"), StringComparison.Ordinal);
    }

    private Task<TestServer> StartAsync(ScriptedEngine? engine = null, params string[][] args) =>
        TestServer.StartAsync(engine ?? ScriptedEngine.Saying('h', 'i'), ["--feedback", "sqlite:" + File, .. args.SelectMany(arg => arg)]);

    private static Task<HttpResponseMessage> SayAsync(TestServer server, string body) => server.PostToAsync("/v1/feedback", body);

    private static async Task<string> ChatAsync(TestServer server, string parameters = "")
    {
        using var response = await server.ChatAsync($"\"store\":true{(parameters.Length > 0 ? "," : "")}{parameters}");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("id").GetString()!;
    }

    // The writer comes a moment after the answer.
    private async Task<StoredAnswer?> KeptAsync(string id)
    {
        var store = new FeedbackStore(FeedbackLocation.TryParse("sqlite:" + File, out _)!);
        StoredAnswer? answer = null;
        await Eventually.AssertAsync(async () => (answer = await store.FindAnswerAsync(id, "")) is not null);
        return answer;
    }

    private object? Scalar(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={File}");
        connection.Open();
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // the tests' own texts
        command.CommandText = sql;
#pragma warning restore CA2100
        return command.ExecuteScalar();
    }

    private static async Task<Dictionary<string, double>> MetricsAsync(TestServer server) => (await server.Client.GetStringAsync("/metrics")).Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Where(line => line[0] != '#').ToDictionary(line => line[..line.LastIndexOf(' ')], line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));

    private static string[] Key(int index, string name, string secret) =>
        [$"--TrainServe:Keys:{index}:Name={name}", $"--TrainServe:Keys:{index}:Sha256={Convert.ToHexString(ApiKey.Hash(secret))}"];
}
