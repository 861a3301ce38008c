using System.ClientModel;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Anthropic;
using Microsoft.Extensions.AI;
using OpenAI;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>Keys, limits and TLS as an operator sets them: by the program's own verb, settings and certificate.</summary>
public sealed class KeysAndTlsTests(NodePackages packages) : IClassFixture<NodePackages>, IDisposable
{
    private readonly TemporaryDirectory _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public async Task A_key_that_the_program_made_opens_the_server_and_nothing_else_does()
    {
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        var (exitCode, output) = await ServerProcess.RunAsync("new-key", "ann", "chat");
        Assert.Equal(0, exitCode);
        string[] lines = output.Split('\n', StringSplitOptions.TrimEntries);
        string key = lines[0]["The key, shown only now: ".Length..];
        string hash = System.Text.Json.JsonDocument.Parse(lines[2]).RootElement.GetProperty("Sha256").GetString()!;
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1", "--TrainServe:Keys:0:Name=ann", $"--TrainServe:Keys:0:Sha256={hash}");
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Client.GetAsync("/v1/models")).StatusCode);
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", hash);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Client.GetAsync("/v1/models")).StatusCode);
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/v1/models")).StatusCode);
        Assert.DoesNotContain(key, server.Output);
    }

    [Fact]
    public async Task Clients_obey_the_time_that_they_are_told_to_wait()
    {
        packages.Require();
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        string hash = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes("retry-key")));
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1",
            "--TrainServe:Keys:0:Name=ann", $"--TrainServe:Keys:0:Sha256={hash}", "--TrainServe:Keys:0:RequestsPerMinute=60");
        var (exitCode, output) = await NodePackages.RunAsync("node", ["retry.mjs", server.Client.BaseAddress!.ToString().TrimEnd('/')], ("TRAINSERVE_KEY", "retry-key"));
        Assert.True(exitCode == 0, output);
    }

    [Fact]
    public async Task Clients_for_NET_obey_the_time_that_they_are_told_to_wait()
    {
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        string hash = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes("retry-key")));
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1",
            "--TrainServe:Keys:0:Name=ann", $"--TrainServe:Keys:0:Sha256={hash}", "--TrainServe:Keys:0:RequestsPerMinute=30");
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "retry-key");
        IChatClient[] clients =
        [
            new OpenAI.Chat.ChatClient("tiny", new ApiKeyCredential("retry-key"), new OpenAIClientOptions { Endpoint = new Uri(server.Client.BaseAddress!, "v1") }).AsIChatClient(),
            new AnthropicClient { ApiKey = "retry-key", BaseUrl = server.Client.BaseAddress!.ToString().TrimEnd('/'), MaxRetries = 3 }.AsIChatClient("tiny", 100),
        ];
        foreach (var client in clients)
        {
            HttpResponseMessage refused;
            do
            {
                refused = await server.PostAsync("""{"model":"tiny","messages":[{"role":"user","content":"a"}],"max_tokens":1}""");
            }
            while (refused.StatusCode != HttpStatusCode.TooManyRequests);
            Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 2);
            await client.GetResponseAsync("hello", new ChatOptions { MaxOutputTokens = 1 });
        }
    }

    [Fact]
    public async Task With_a_certificate_the_server_speaks_TLS()
    {
        ModelDirectory.Tiny(_models.PathOf("models/tiny"));
        using var rsa = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        string path = _models.PathOf("server.pfx");
        await File.WriteAllBytesAsync(path, certificate.Export(X509ContentType.Pfx, "secret"));
        await using var server = await ServerProcess.StartSecureAsync(_models.PathOf("models"), certificate, "--threads", "1",
            "--Kestrel:Endpoints:Https:Url=https://127.0.0.1:0", $"--Kestrel:Endpoints:Https:Certificate:Path={path}", "--Kestrel:Endpoints:Https:Certificate:Password=secret");
        Assert.Equal("https", server.Client.BaseAddress!.Scheme);
        await server.AnswerAsync("""{"model":"tiny","messages":[{"role":"user","content":"a"}],"max_tokens":2}""");
    }
}
