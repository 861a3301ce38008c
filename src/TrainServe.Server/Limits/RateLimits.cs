using System.Globalization;
using TrainServe.Server.Security;

namespace TrainServe.Server.Limits;

/// <summary>Holds callers to the requests and tokens a minute of their keys, and tells them in headers how they stand.</summary>
/// <remarks>A request is charged when it comes, its prompt when it is tokenized, and its answer when it is made. An answer is never cut short by a limit: the bucket owes then.</remarks>
internal sealed class RateLimits(ILimitStore store, TimeProvider time)
{
    /// <exception cref="RateLimitException">The caller has used up the minute's requests.</exception>
    public async ValueTask EnterAsync(HttpContext context)
    {
        if (context.Features.Caller() is not { } key || (key.RequestsPerMinute ?? key.TokensPerMinute) is null)
        {
            return;
        }
        var standing = new Standing { Requests = key.RequestsPerMinute, Tokens = key.TokensPerMinute };
        context.Features.Set(standing);
        context.Response.OnStarting(() =>
        {
            Tell(context.Response.Headers, standing);
            return Task.CompletedTask;
        });
        if (key.TokensPerMinute is { } tokens)
        {
            // Who owes from earlier answers waits until that is worked off.
            standing.TokenState = await store.TakeAsync($"{key.Name}:tokens", tokens, 0, force: true);
        }
        if (key.RequestsPerMinute is { } requests)
        {
            standing.RequestState = await store.TakeAsync($"{key.Name}:requests", requests, 1, force: false);
            if (!standing.RequestState.Allowed)
            {
                throw new RateLimitException(key.Name, "requests", requests, 1, standing.RequestState);
            }
        }
    }

    /// <exception cref="RateLimitException">The caller has used up the minute's tokens.</exception>
    public async ValueTask ChargePromptAsync(HttpContext context, int promptTokens)
    {
        if (context.Features.Get<Standing>() is { Tokens: { } limit } standing)
        {
            var key = context.Features.Caller()!;
            standing.TokenState = await store.TakeAsync($"{key.Name}:tokens", limit, promptTokens, force: false);
            if (!standing.TokenState.Allowed)
            {
                throw new RateLimitException(key.Name, "tokens", limit, promptTokens, standing.TokenState);
            }
        }
    }

    public async ValueTask ChargeAnswerAsync(HttpContext context, int completionTokens)
    {
        if (context.Features.Get<Standing>() is { Tokens: { } limit } standing)
        {
            standing.TokenState = await store.TakeAsync($"{context.Features.Caller()!.Name}:tokens", limit, completionTokens, force: true);
        }
    }

    private void Tell(IHeaderDictionary headers, Standing standing)
    {
        foreach (var (limit, state, name) in new[] { (standing.Requests, standing.RequestState, "requests"), (standing.Tokens, standing.TokenState, "tokens") })
        {
            if (limit is not { } perMinute)
            {
                continue;
            }
            string remaining = state.Remaining.ToString(CultureInfo.InvariantCulture);
            headers[$"x-ratelimit-limit-{name}"] = headers[$"anthropic-ratelimit-{name}-limit"] = perMinute.ToString(CultureInfo.InvariantCulture);
            headers[$"x-ratelimit-remaining-{name}"] = headers[$"anthropic-ratelimit-{name}-remaining"] = remaining;
            headers[$"x-ratelimit-reset-{name}"] = Duration(state.FullAfter);
            headers[$"anthropic-ratelimit-{name}-reset"] = (time.GetUtcNow() + state.FullAfter).ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
        }
    }

    /// <summary>As OpenAI writes it: 6m0s, 1.5s, 20ms.</summary>
    internal static string Duration(TimeSpan span)
    {
        string seconds = Math.Round(span.TotalSeconds % 60, 3).ToString(CultureInfo.InvariantCulture);
        return span.TotalMinutes >= 1 ? $"{(int)span.TotalMinutes}m{seconds}s"
            : span.TotalSeconds >= 1 || span == TimeSpan.Zero ? $"{seconds}s"
            : $"{Math.Ceiling(span.TotalMilliseconds).ToString(CultureInfo.InvariantCulture)}ms";
    }

    private sealed class Standing
    {
        public int? Requests { get; init; }
        public int? Tokens { get; init; }
        public BucketState RequestState { get; set; }
        public BucketState TokenState { get; set; }
    }
}
