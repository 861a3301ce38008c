using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Core.Tokenization;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Limits;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests;

/// <summary>The server on a free port of the loopback, with a scripted engine behind the model <c>tiny</c>.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory;
    private readonly WebApplication _app;

    private TestServer(TemporaryDirectory directory, WebApplication app)
    {
        _directory = directory;
        _app = app;
        Client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };
    }

    public HttpClient Client { get; }
    public required TextTokenizer Tokenizer { get; init; }

    public static async Task<TestServer> StartAsync(ScriptedEngine engine, params string[] args)
    {
        var server = await StartListeningAsync(directory => Task.FromResult(MakeModel(directory, engine)), args);
        await Eventually.AssertAsync(async () => (await server.Client.GetAsync("/health/ready")).IsSuccessStatusCode);
        return server;
    }

    /// <param name="load">Loads the model in a directory.</param>
    /// <param name="args">The command line.</param>
    public static async Task<TestServer> StartListeningAsync(Func<string, Task<ServedModel>> load, params string[] args)
    {
        var directory = new TemporaryDirectory();
        var tokenizer = MakeDirectory(directory.PathOf("tiny"));
        var app = ServerHost.Build(
            ["--urls", "http://127.0.0.1:0", "--models", directory.FullName, "--Logging:LogLevel:Default=None", "--Logging:LogLevel:Microsoft=None", "--Logging:LogLevel:Microsoft.Hosting.Lifetime=None", .. args],
            services => services.AddSingleton<LoadModel>((path, _) => load(path)));
        await app.StartAsync();
        return new TestServer(directory, app) { Tokenizer = tokenizer };
    }

    public Task<HttpResponseMessage> PostAsync(string json, HttpCompletionOption completion = HttpCompletionOption.ResponseContentRead, CancellationToken cancellationToken = default) =>
        PostToAsync("/v1/chat/completions", json, completion, cancellationToken);

    public Task<HttpResponseMessage> PostToAsync(string path, string json, HttpCompletionOption completion = HttpCompletionOption.ResponseContentRead, CancellationToken cancellationToken = default)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        return Client.SendAsync(request, completion, cancellationToken);
    }

    /// <summary>Posts a body, which has to succeed, and reads the answer.</summary>
    public async Task<JsonElement> AnswerAsync(string path, string json)
    {
        using var response = await PostToAsync(path, json);
        string body = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, body);
        return JsonDocument.Parse(body).RootElement;
    }

    /// <summary>Posts a body, which has to succeed, and reads the stream.</summary>
    public async Task<ServerSentEvents> StreamAsync(string path, string json)
    {
        using var response = await PostToAsync(path, json);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.ToString());
        return ServerSentEvents.Parse(await response.Content.ReadAsStringAsync());
    }

    /// <summary>Posts a body with the model, a message and these parameters.</summary>
    public Task<HttpResponseMessage> ChatAsync(string parameters = "", HttpCompletionOption completion = HttpCompletionOption.ResponseContentRead, CancellationToken cancellationToken = default) =>
        PostAsync($$"""{"model":"tiny","messages":[{"role":"user","content":"hello world"}]{{(parameters.Length > 0 ? "," : "")}}{{parameters}}}""", completion, cancellationToken);

    public async Task<JsonElement> GetAsync(string path) => await Client.GetFromJsonAsync<JsonElement>(path);

    public Task StopAsync() => _app.StopAsync();

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
        _directory.Dispose();
    }

    public static ServedModel MakeModel(string directory, ScriptedEngine engine, char version = 'a', int contextLength = 64)
    {
        var tokenizer = TextTokenizer.Load(directory);
        var template = ChatTemplate.Load(directory, tokenizer);
        return new ServedModel
        {
            Package = ModelPackage.Open(directory),
            Precision = "fp32",
            Tokenizer = tokenizer,
            Template = template,
            Engine = engine,
            DefaultSampling = new SamplingParameters(),
            ContextLength = contextLength,
            Rate = new AnswerRate(TimeProvider.System),
            StopTokenIds = template.StopTokenIds,
            LineageId = new string(version, 64),
        };
    }

    private static TextTokenizer MakeDirectory(string directory)
    {
        var package = TinyPackages.Write(directory, TinyModels.Config(TinyPackages.VocabSize, maxPositions: 64));
        (package.Manifest! with { Created = DateTimeOffset.UnixEpoch.AddDays(1) }).Write(package.ManifestPath);
        return package.LoadTokenizer();
    }
}
