using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Text.Json;
using TrainServe.Core.Random;

namespace TrainServe.Cli.Benchmarks;

/// <summary>What became of one request. Times count from when it was due, so that a server which keeps the client waiting does not look fast for it.</summary>
/// <param name="Failure">Null where the answer came to its end.</param>
/// <param name="FirstToken">Time to the first piece of text.</param>
/// <param name="Total">Time to the end.</param>
/// <param name="Gaps">Times between pieces.</param>
/// <param name="Tokens">Of the answer, by the server's own count.</param>
/// <param name="CachedTokens">Of the prompt, that the server had computed before.</param>
internal sealed record LoadSample(string? Failure, TimeSpan FirstToken, TimeSpan Total, IReadOnlyList<TimeSpan> Gaps, int Tokens, int PromptTokens, int CachedTokens);

/// <summary>Sends streamed chat requests, so many at a time or at random moments, and times what comes back.</summary>
internal sealed class LoadGenerator : IDisposable
{
    private static readonly string[] Words = ["the", "a", "dog", "cat", "tree", "river", "house", "sun", "old", "small", "red", "ran", "saw", "took", "gave", "and", "then", "with", "under", "home"];
    private readonly LoadPlan _plan;
    private readonly HttpClient _client;

    public LoadGenerator(LoadPlan plan, string? apiKey, HttpMessageHandler? handler = null)
    {
        _plan = plan;
        _client = new HttpClient(handler ?? new SocketsHttpHandler { MaxConnectionsPerServer = int.MaxValue }) { BaseAddress = plan.Url, Timeout = Timeout.InfiniteTimeSpan };
        if (apiKey is not null)
        {
            _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", apiKey);
        }
    }

    /// <returns>A sample for each request, and how long all took together.</returns>
    public async Task<(IReadOnlyList<LoadSample> Samples, TimeSpan Elapsed)> RunAsync(CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        var samples = _plan.RequestsPerSecond is { } rate ? await OpenAsync(rate, cancellationToken) : await ClosedAsync(cancellationToken);
        return (samples, Stopwatch.GetElapsedTime(start));
    }

    public void Dispose() => _client.Dispose();

    private async Task<LoadSample[]> OpenAsync(double rate, CancellationToken cancellationToken)
    {
        var random = new PhiloxRandom(_plan.Seed, stream: 1);
        long start = Stopwatch.GetTimestamp();
        var due = TimeSpan.Zero;
        var running = new List<Task<LoadSample>>();
        for (int i = 0; i < _plan.Requests; i++)
        {
            // Gaps between Poisson arrivals are exponential.
            due += TimeSpan.FromSeconds(-Math.Log(1 - random.NextDouble()) / rate);
            if (due - Stopwatch.GetElapsedTime(start) is { Ticks: > 0 } wait)
            {
                await Task.Delay(wait, cancellationToken);
            }
            running.Add(SendAsync(i, start + (long)(due.TotalSeconds * Stopwatch.Frequency), cancellationToken));
        }
        return await Task.WhenAll(running);
    }

    private async Task<LoadSample[]> ClosedAsync(CancellationToken cancellationToken)
    {
        var samples = new LoadSample[_plan.Requests];
        int next = -1;
        await Task.WhenAll(Enumerable.Range(0, Math.Min(_plan.Concurrency, _plan.Requests)).Select(async _ =>
        {
            for (int i = Interlocked.Increment(ref next); i < samples.Length; i = Interlocked.Increment(ref next))
            {
                samples[i] = await SendAsync(i, Stopwatch.GetTimestamp(), cancellationToken);
            }
        }));
        return samples;
    }

    private async Task<LoadSample> SendAsync(int number, long due, CancellationToken cancellationToken)
    {
        var pieces = new List<TimeSpan>();
        (int Prompt, int Cached, int Answer) usage = default;
        try
        {
            using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent.Create(Body(number)) };
            using var response = await _client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            if (!response.IsSuccessStatusCode)
            {
                return Failed($"status {(int)response.StatusCode}");
            }
            await using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
            bool ended = false;
            await foreach (var item in SseParser.Create(stream).EnumerateAsync(cancellationToken))
            {
                if (item.Data == "[DONE]")
                {
                    ended = true;
                    break;
                }
                using var chunk = JsonDocument.Parse(item.Data);
                if (chunk.RootElement.TryGetProperty("error", out _))
                {
                    return Failed("an error within the stream");
                }
                usage = Usage(chunk.RootElement) ?? usage;
                if (HasText(chunk.RootElement))
                {
                    pieces.Add(Stopwatch.GetElapsedTime(due));
                }
            }
            return ended ? Answered(null) : Failed("a stream without its end");
        }
        catch (Exception error) when (error is HttpRequestException or IOException or JsonException)
        {
            return Failed(error.GetType().Name);
        }

        LoadSample Failed(string why) => Answered(why);

        LoadSample Answered(string? failure)
        {
            var total = Stopwatch.GetElapsedTime(due);
            return new LoadSample(failure, pieces.Count > 0 ? pieces[0] : total, total, [.. pieces.Skip(1).Zip(pieces, (later, earlier) => later - earlier)], usage.Answer, usage.Prompt, usage.Cached);
        }
    }

    private object Body(int number)
    {
        var messages = new List<object>();
        if (_plan.SharedWords > 0)
        {
            messages.Add(new { role = "system", content = Text(0, _plan.SharedWords) });
        }
        messages.Add(new { role = "user", content = Text(number + 1, _plan.PromptWords) });
        return new { model = _plan.Model, messages, max_tokens = _plan.MaxTokens, temperature = 0, stream = true, stream_options = new { include_usage = true } };
    }

    private string Text(int number, int words)
    {
        var random = new PhiloxRandom(_plan.Seed, stream: (ulong)number + 2);
        return string.Join(' ', Enumerable.Range(0, words).Select(_ => Words[random.NextInt32(Words.Length)]));
    }

    private static bool HasText(JsonElement chunk) => chunk.TryGetProperty("choices", out var choices) && choices.ValueKind == JsonValueKind.Array
        && choices.EnumerateArray().Any(choice => choice.TryGetProperty("delta", out var delta) && delta.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String && content.GetString() is { Length: > 0 });

    private static (int Prompt, int Cached, int Answer)? Usage(JsonElement chunk)
    {
        if (!chunk.TryGetProperty("usage", out var usage) || usage.ValueKind != JsonValueKind.Object)
        {
            return null;
        }
        int cached = usage.TryGetProperty("prompt_tokens_details", out var details) && details.ValueKind == JsonValueKind.Object && details.TryGetProperty("cached_tokens", out var tokens) ? tokens.GetInt32() : 0;
        return (usage.GetProperty("prompt_tokens").GetInt32(), cached, usage.GetProperty("completion_tokens").GetInt32());
    }
}
