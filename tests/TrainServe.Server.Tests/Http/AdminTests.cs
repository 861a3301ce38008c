using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text.Json;
using TrainServe.Inference;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Security;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class AdminTests
{
    private const string Hello = """{"model":"MODEL","messages":[{"role":"user","content":"a"}]}""";

    [Fact]
    public async Task A_new_version_answers_new_requests_while_the_old_one_finishes_what_it_began()
    {
        var go = new TaskCompletionSource();
        var engines = new List<ScriptedEngine>();
        await using var server = await StartAsync(directory =>
        {
            engines.Add(engines.Count == 0 ? new ScriptedEngine { Script = (_, _) => WaitThenSay(go.Task) } : ScriptedEngine.Saying('n'));
            return Task.FromResult(TestServer.MakeModel(directory, engines[^1], version: (char)('a' + engines.Count - 1)));
        });
        var old = server.AnswerAsync("/v1/chat/completions", Hello.Replace("MODEL", "tiny", StringComparison.Ordinal));
        await Eventually.AssertAsync(() => engines[0].Running == 1);
        var listed = await server.AnswerAsync("/admin/reload", """{"model":"tiny"}""");
        Assert.Equal("fp_bbbbbbbbbbbb_fp32", listed.GetProperty("models")[0].GetProperty("system_fingerprint").GetString());
        Assert.Equal(("n", "fp_bbbbbbbbbbbb_fp32"), Said(await server.AnswerAsync("/v1/chat/completions", Hello.Replace("MODEL", "tiny", StringComparison.Ordinal))));
        Assert.False(engines[0].IsDisposed);
        go.SetResult();
        Assert.Equal(("o", "fp_aaaaaaaaaaaa_fp32"), Said(await old));
        await Eventually.AssertAsync(() => engines[0].IsDisposed);
        Assert.False(engines[1].IsDisposed);
    }

    [Fact]
    public async Task A_version_that_cannot_be_loaded_changes_nothing()
    {
        int loads = 0;
        await using var server = await StartAsync(directory => loads++ == 0
            ? Task.FromResult(TestServer.MakeModel(directory, ScriptedEngine.Saying('h')))
            : throw new InvalidDataException("its weights were changed."));
        using var refused = await server.PostToAsync("/admin/reload", """{"model":"tiny"}""");
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("its weights were changed", await Envelope.AssertAsync(refused, "invalid_request_error", "model", "model_not_loadable"));
        Assert.Equal("h", Said(await server.AnswerAsync("/v1/chat/completions", Hello.Replace("MODEL", "tiny", StringComparison.Ordinal))).Text);
    }

    [Fact]
    public async Task Models_come_and_go_and_have_other_names()
    {
        await using var server = await StartAsync(directory => Task.FromResult(TestServer.MakeModel(directory, ScriptedEngine.Saying('h'))), "--aliases", "gpt-4o=tiny");
        Assert.Equal("tiny", (await server.AnswerAsync("/v1/chat/completions", Hello.Replace("MODEL", "gpt-4o", StringComparison.Ordinal))).GetProperty("model").GetString());
        await server.AnswerAsync("/admin/alias", """{"alias":"best","model":"tiny"}""");
        Assert.Equal("tiny", (await server.GetAsync("/v1/models/best")).GetProperty("id").GetString());
        await server.AnswerAsync("/admin/alias", """{"alias":"best","model":null}""");
        Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync("/v1/models/best")).StatusCode);

        var unloaded = await server.AnswerAsync("/admin/unload", """{"model":"tiny"}""");
        Assert.Equal(0, unloaded.GetProperty("models").GetArrayLength());
        Assert.Equal(["tiny"], unloaded.GetProperty("available").EnumerateArray().Select(name => name.GetString()));
        using (var gone = await server.PostAsync(Hello.Replace("MODEL", "tiny", StringComparison.Ordinal)))
        {
            Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
        }
        await server.AnswerAsync("/admin/load", """{"model":"tiny"}""");
        Assert.Equal("h", Said(await server.AnswerAsync("/v1/chat/completions", Hello.Replace("MODEL", "tiny", StringComparison.Ordinal))).Text);
    }

    [Theory]
    [InlineData("/admin/load", "{\"model\":\"../secrets\"}", HttpStatusCode.NotFound)]
    [InlineData("/admin/load", "{\"model\":\"nobody\"}", HttpStatusCode.NotFound)]
    [InlineData("/admin/reload", "{\"model\":\"nobody\"}", HttpStatusCode.NotFound)]
    [InlineData("/admin/unload", "{\"model\":\"nobody\"}", HttpStatusCode.NotFound)]
    [InlineData("/admin/unload", "{}", HttpStatusCode.BadRequest)]
    [InlineData("/admin/alias", "{\"alias\":\"tiny\",\"model\":\"tiny\"}", HttpStatusCode.BadRequest)]
    [InlineData("/admin/alias", "{\"alias\":\"x\",\"model\":\"nobody\"}", HttpStatusCode.NotFound)]
    public async Task What_does_not_exist_is_refused(string path, string body, HttpStatusCode status)
    {
        await using var server = await StartAsync(directory => Task.FromResult(TestServer.MakeModel(directory, ScriptedEngine.Saying('h'))));
        using var response = await server.PostToAsync(path, body);
        Assert.Equal(status, response.StatusCode);
        Assert.Contains("\"type\":\"invalid_request_error\"", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_directory_with_a_new_manifest_is_loaded_by_itself_where_that_is_wanted()
    {
        int loads = 0;
        string? loaded = null;
        await using var server = await StartAsync(directory =>
        {
            loaded = directory;
            return Task.FromResult(TestServer.MakeModel(directory, ScriptedEngine.Saying('h'), version: (char)('a' + loads++)));
        }, "--watch-models", "true");
        await Task.Delay(1500);
        Assert.Equal(1, loads);
        File.SetLastWriteTimeUtc(Path.Combine(loaded!, "manifest.json"), DateTime.UtcNow.AddSeconds(5));
        await Eventually.AssertAsync(async () => Said(await server.AnswerAsync("/v1/chat/completions", Hello.Replace("MODEL", "tiny", StringComparison.Ordinal))).Version == "fp_bbbbbbbbbbbb_fp32");
        Assert.Equal(2, loads);
    }

    [Fact]
    public async Task Fifty_swaps_under_load_fail_no_request()
    {
        var versions = new List<ScriptedEngine>();
        await using var server = await StartAsync(directory =>
        {
            lock (versions)
            {
                versions.Add(new ScriptedEngine { Script = (_, _) => SayAfter() });
                return Task.FromResult(TestServer.MakeModel(directory, versions[^1], version: (char)('a' + versions.Count % 26)));
            }
        });
        using var done = new CancellationTokenSource();
        var callers = Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            int answers = 0;
            for (; !done.IsCancellationRequested; answers++)
            {
                Assert.Equal("h", Said(await server.AnswerAsync("/v1/chat/completions", Hello.Replace("MODEL", "tiny", StringComparison.Ordinal))).Text);
            }
            return answers;
        })).ToArray();
        for (int i = 0; i < 50; i++)
        {
            await server.AnswerAsync("/admin/reload", """{"model":"tiny"}""");
        }
        await done.CancelAsync();
        Assert.All(await Task.WhenAll(callers), answers => Assert.True(answers > 0));
        await Eventually.AssertAsync(() => versions.Count(engine => !engine.IsDisposed) == 1);
    }

    private static async Task<TestServer> StartAsync(Func<string, Task<ServedModel>> load, params string[] args)
    {
        var server = await TestServer.StartListeningAsync(load,
            ["--TrainServe:Keys:0:Name=root", $"--TrainServe:Keys:0:Sha256={Convert.ToHexString(ApiKey.Hash("root-secret"))}", "--TrainServe:Keys:0:Scopes=chat;admin", .. args]);
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "root-secret");
        await Eventually.AssertAsync(async () => (await server.Client.GetAsync("/health/ready")).IsSuccessStatusCode);
        return server;
    }

    private static (string? Text, string? Version) Said(JsonElement answer) =>
        (answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString(), answer.GetProperty("system_fingerprint").GetString());

    private static async IAsyncEnumerable<GeneratedToken> WaitThenSay(Task go, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await go.WaitAsync(cancellationToken);
        yield return ScriptedEngine.Token('o', FinishReason.Length);
    }

    private static async IAsyncEnumerable<GeneratedToken> SayAfter()
    {
        await Task.Delay(10);
        yield return ScriptedEngine.Token('h', FinishReason.Length);
    }
}
