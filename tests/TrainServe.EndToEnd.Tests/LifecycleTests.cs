using System.Net;
using System.Text.Json;
using TrainServe.Core.Packaging;
using TrainServe.Inference.Execution;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

public sealed class LifecycleTests : IDisposable
{
    private const string LongStream = """{"model":"tiny","messages":[{"role":"user","content":"hello"}],"seed":1,"ignore_eos":true,"stream":true,"max_tokens":LENGTH}""";
    private readonly TemporaryDirectory _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public async Task On_SIGTERM_streams_in_flight_are_finished_and_the_process_ends_with_zero()
    {
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--drain-delay-seconds", "0.5", "--threads", "1");
        var streams = new List<HttpResponseMessage>();
        for (int i = 0; i < 4; i++)
        {
            streams.Add(await server.PostAsync(LongStream.Replace("LENGTH", "1500", StringComparison.Ordinal), HttpCompletionOption.ResponseHeadersRead));
        }
        var healthy = await ServerProcess.RunAsync("healthcheck", "--urls", server.Client.BaseAddress!.OriginalString);
        Assert.Equal((0, "healthy"), (healthy.ExitCode, healthy.Output.Trim()));
        server.Terminate();
        await Eventually.AssertAsync(async () => (await server.Client.GetAsync("/health/ready")).StatusCode == HttpStatusCode.ServiceUnavailable);
        foreach (var stream in streams)
        {
            var events = ServerSentEvents.Parse(await stream.Content.ReadAsStringAsync());
            Assert.True(events.Done);
            Assert.Equal("length", events.FinishReason());
            stream.Dispose();
        }
        Assert.Equal(0, await server.WaitForExitAsync());
    }

    [Fact]
    public async Task A_full_queue_refuses_with_a_time_to_come_back()
    {
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--slots", "1", "--max-queued-requests", "1", "--threads", "1");
        using var leave = new CancellationTokenSource();
        using var running = await server.PostAsync(LongStream.Replace("LENGTH", "8000", StringComparison.Ordinal), HttpCompletionOption.ResponseHeadersRead, leave.Token);
        var waiting = server.PostAsync(LongStream.Replace("LENGTH", "8000", StringComparison.Ordinal), HttpCompletionOption.ResponseHeadersRead, leave.Token);
        await Eventually.AssertAsync(async () => await server.LoadOfAsync("tiny") == (1, 1));
        using var refused = await server.PostAsync(LongStream.Replace("LENGTH", "10", StringComparison.Ordinal));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.True(refused.Headers.RetryAfter!.Delta >= TimeSpan.FromSeconds(1));
        await Envelope.AssertAsync(refused, "server_error", null, "server_overloaded");
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    [Fact]
    public async Task Only_directories_that_hold_what_they_promise_are_served_and_the_log_says_why()
    {
        ModelDirectory.Tiny(_models.PathOf("good"));
        ModelDirectory.Tiny(_models.PathOf("changed"), seed: 2);
        FlipByte(_models.PathOf("changed", ModelPackage.WeightsFile));
        ModelDirectory.Tiny(_models.PathOf("retokenized"), seed: 3);
        FlipByte(_models.PathOf("retokenized", ModelPackage.TokenizerFile));
        var uncertified = ModelDirectory.Tiny(_models.PathOf("uncertified"), seed: 4);
        (uncertified.Manifest! with { Certificates = [] }).Write(uncertified.ManifestPath);
        var failed = ModelDirectory.Tiny(_models.PathOf("failed"), seed: 5);
        (failed.Manifest! with { Certificates = [failed.Manifest.Certificates[0] with { BatchedError = 2 }] }).Write(failed.ManifestPath);
        _models.WriteText("recipes/smoke.yaml", "name: smoke");

        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1", "--slots", "2");
        var models = JsonDocument.Parse(await server.Client.GetStringAsync("/v1/models")).RootElement.GetProperty("data");
        Assert.Equal("good", Assert.Single(models.EnumerateArray()).GetProperty("id").GetString());
        foreach (var (name, reason) in new[]
        {
            ("changed", "model.safetensors was changed"), ("retokenized", "tokenizer.json was changed"),
            ("uncertified", "has no export with a certificate"), ("failed", "the batched logits differ by 2"),
        })
        {
            Assert.Contains($"Not serving {name}: ", server.Output);
            Assert.Contains(reason, server.Output);
        }
        Assert.DoesNotContain("recipes", server.Output);
    }

    [Fact]
    public async Task Several_models_are_served_by_name()
    {
        ModelDirectory.Tiny(_models.PathOf("one"), seed: 1);
        ModelDirectory.Tiny(_models.PathOf("two"), seed: 2);
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1", "--slots", "2");
        var answers = new List<JsonElement>();
        foreach (string model in (string[])["one", "two"])
        {
            answers.Add(await server.AnswerAsync($$"""{"model":"{{model}}","messages":[{"role":"user","content":"hello"}],"temperature":0,"max_tokens":20,"ignore_eos":true}"""));
            Assert.Equal(model, answers[^1].GetProperty("model").GetString());
        }
        Assert.NotEqual(answers[0].GetProperty("choices")[0].GetRawText(), answers[1].GetProperty("choices")[0].GetRawText());
        Assert.NotEqual(answers[0].GetProperty("system_fingerprint").GetString(), answers[1].GetProperty("system_fingerprint").GetString());
    }

    [Fact]
    public async Task Without_a_model_the_server_is_alive_but_not_ready()
    {
        await using var server = await ServerProcess.StartListeningAsync(_models.PathOf("nothing"));
        await Eventually.AssertAsync(() => server.Output.Contains("There is no model to serve in", StringComparison.Ordinal));
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health/live")).StatusCode);
        using var ready = await server.Client.GetAsync("/health/ready");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        Assert.Contains("no_models", await ready.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Wrong_settings_are_all_named_and_end_the_process()
    {
        var (exitCode, output) = await ServerProcess.RunAsync("--slots", "0", "--precision", "fp8");
        Assert.Equal(1, exitCode);
        Assert.Contains("error: TrainServe:Slots is '0'; it must be a whole number from 1 to 1024.", output);
        Assert.Contains("error: TrainServe:Precision is 'fp8'; it must be one of auto, fp32, fp16, int8, int4.", output);
        Assert.DoesNotContain("   at ", output);
    }

    [Fact]
    public async Task A_gpu_that_was_named_and_cannot_be_used_ends_the_process_and_says_what_is_missing()
    {
        Assert.SkipWhen(InferenceDevice.Open(InferenceDevice.Auto, out _).IsCuda, "there is a GPU here");
        var (exitCode, output) = await ServerProcess.RunAsync("--models", _models.FullName, "--device", "cuda");
        Assert.Equal(1, exitCode);
        Assert.Matches(@"error: Device cuda: .*, or choose auto or cpu\.", output);
        Assert.DoesNotContain("   at ", output);
    }

    [Fact]
    public async Task An_address_that_is_taken_is_one_clear_sentence()
    {
        await using var server = await ServerProcess.StartListeningAsync(_models.PathOf("nothing"));
        var (exitCode, output) = await ServerProcess.RunAsync("--urls", server.Client.BaseAddress!.ToString());
        Assert.Equal(1, exitCode);
        Assert.Contains("error: Failed to bind to address", output);
        Assert.DoesNotContain("   at ", output);
    }

    [Fact]
    public async Task Whoever_opens_the_server_to_others_is_told_to_name_it()
    {
        await using var server = await ServerProcess.StartListeningAsync(_models.PathOf("nothing"), "--urls", "http://0.0.0.0:0");
        await Eventually.AssertAsync(() => server.Output.Contains("Name others with --allowed-hosts.", StringComparison.Ordinal));
        using var request = new HttpRequestMessage(HttpMethod.Get, $"http://127.0.0.1:{server.Client.BaseAddress!.Port}/v1/models");
        request.Headers.Host = "server.example";
        using var response = await server.Client.SendAsync(request);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    private static void FlipByte(string path)
    {
        using var file = new FileStream(path, FileMode.Open);
        file.Position = file.Length / 2;
        int value = file.ReadByte();
        file.Position--;
        file.WriteByte((byte)(value ^ 1));
    }
}
