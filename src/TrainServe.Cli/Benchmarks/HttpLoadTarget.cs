using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Text.Json;
using System.Text.Json.Nodes;
using TrainServe.Core.Chat;

namespace TrainServe.Cli.Benchmarks;

/// <summary>A server with an OpenAI-compatible API, which streams.</summary>
internal sealed class HttpLoadTarget : ILoadTarget, IDisposable
{
    private readonly LoadPlan _plan;
    private readonly HttpClient _client;

    public HttpLoadTarget(LoadPlan plan, string? apiKey, HttpMessageHandler? handler = null)
    {
        _plan = plan;
        _client = new HttpClient(handler ?? new SocketsHttpHandler { MaxConnectionsPerServer = int.MaxValue }) { BaseAddress = plan.Url, Timeout = Timeout.InfiniteTimeSpan };
        if (apiKey is not null)
        {
            _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", apiKey);
        }
    }

    public void Dispose() => _client.Dispose();

    /// <inheritdoc/>
    public async Task<LoadSample> SendAsync(IReadOnlyList<ChatMessage> messages, long due, CancellationToken cancellationToken)
    {
        var pieces = new List<TimeSpan>();
        (int Prompt, int Cached, int Answer) usage = default;
        try
        {
            using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent.Create(Body(messages)) };
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
            return LoadSample.Of(ended ? null : "a stream without its end", due, pieces, usage);
        }
        catch (Exception error) when (error is HttpRequestException or IOException or JsonException)
        {
            return Failed(error.GetType().Name);
        }

        LoadSample Failed(string why) => LoadSample.Of(why, due, pieces, usage);
    }

    private JsonObject Body(IReadOnlyList<ChatMessage> messages)
    {
        var body = new JsonObject
        {
            ["model"] = _plan.Model,
            ["messages"] = new JsonArray([.. messages.Select(message => new JsonObject { ["role"] = message.Role.Name(), ["content"] = message.Content })]),
            ["max_tokens"] = _plan.MaxTokens,
            ["temperature"] = 0,
            ["stream"] = true,
            ["stream_options"] = new JsonObject { ["include_usage"] = true },
        };
        if (_plan.IgnoreEos)
        {
            body["ignore_eos"] = true; // not OpenAI's own, so only where it is asked for
        }
        return body;
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
