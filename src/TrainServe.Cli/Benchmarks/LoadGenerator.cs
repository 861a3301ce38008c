using System.Diagnostics;
using TrainServe.Core.Chat;
using TrainServe.Core.Random;

namespace TrainServe.Cli.Benchmarks;

/// <summary>What became of one request. Times count from when it was due, so that a server which keeps the client waiting does not look fast for it.</summary>
/// <param name="Failure">Null where the answer came to its end.</param>
/// <param name="FirstToken">Time to the first piece of text.</param>
/// <param name="Total">Time to the end.</param>
/// <param name="Gaps">Times between pieces.</param>
/// <param name="Tokens">Of the answer, by the server's own count.</param>
/// <param name="CachedTokens">Of the prompt, that the server had computed before.</param>
internal sealed record LoadSample(string? Failure, TimeSpan FirstToken, TimeSpan Total, IReadOnlyList<TimeSpan> Gaps, int Tokens, int PromptTokens, int CachedTokens)
{
    /// <param name="failure">Null where the answer came to its end.</param>
    /// <param name="due">When the request was due.</param>
    /// <param name="pieces">When pieces came, counted from then.</param>
    /// <param name="usage">What was counted.</param>
    public static LoadSample Of(string? failure, long due, List<TimeSpan> pieces, (int Prompt, int Cached, int Answer) usage)
    {
        var total = Stopwatch.GetElapsedTime(due);
        return new LoadSample(failure, pieces.Count > 0 ? pieces[0] : total, total, [.. pieces.Skip(1).Zip(pieces, (later, earlier) => later - earlier)], usage.Answer, usage.Prompt, usage.Cached);
    }
}

/// <summary>What answers: a server, or an engine in this process, so that the two can be compared.</summary>
internal interface ILoadTarget
{
    /// <param name="messages">The conversation.</param>
    /// <param name="due">When it was due, as a timestamp.</param>
    /// <param name="cancellationToken">Ends it.</param>
    Task<LoadSample> SendAsync(IReadOnlyList<ChatMessage> messages, long due, CancellationToken cancellationToken);
}

/// <summary>Sends chat requests, so many at a time or at random moments, and times what comes back.</summary>
internal sealed class LoadGenerator(LoadPlan plan, ILoadTarget target)
{
    private static readonly string[] Words = ["the", "a", "dog", "cat", "tree", "river", "house", "sun", "old", "small", "red", "ran", "saw", "took", "gave", "and", "then", "with", "under", "home"];

    /// <returns>A sample for each request, and how long all took together.</returns>
    public async Task<(IReadOnlyList<LoadSample> Samples, TimeSpan Elapsed)> RunAsync(CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        var samples = plan.RequestsPerSecond is { } rate ? await OpenAsync(rate, cancellationToken) : await ClosedAsync(cancellationToken);
        return (samples, Stopwatch.GetElapsedTime(start));
    }

    private async Task<LoadSample[]> OpenAsync(double rate, CancellationToken cancellationToken)
    {
        var random = new PhiloxRandom(plan.Seed, stream: 1);
        long start = Stopwatch.GetTimestamp();
        var due = TimeSpan.Zero;
        var running = new List<Task<LoadSample>>();
        for (int i = 0; i < plan.Requests; i++)
        {
            // Gaps between Poisson arrivals are exponential.
            due += TimeSpan.FromSeconds(-Math.Log(1 - random.NextDouble()) / rate);
            if (due - Stopwatch.GetElapsedTime(start) is { Ticks: > 0 } wait)
            {
                await Task.Delay(wait, cancellationToken);
            }
            running.Add(target.SendAsync(Messages(i), start + (long)(due.TotalSeconds * Stopwatch.Frequency), cancellationToken));
        }
        return await Task.WhenAll(running);
    }

    private async Task<LoadSample[]> ClosedAsync(CancellationToken cancellationToken)
    {
        var samples = new LoadSample[plan.Requests];
        int next = -1;
        await Task.WhenAll(Enumerable.Range(0, Math.Min(plan.Concurrency, plan.Requests)).Select(async _ =>
        {
            for (int i = Interlocked.Increment(ref next); i < samples.Length; i = Interlocked.Increment(ref next))
            {
                samples[i] = await target.SendAsync(Messages(i), Stopwatch.GetTimestamp(), cancellationToken);
            }
        }));
        return samples;
    }

    private List<ChatMessage> Messages(int number)
    {
        var messages = new List<ChatMessage>();
        if (plan.SharedWords > 0)
        {
            messages.Add(ChatMessage.System(Text(0, plan.SharedWords)));
        }
        messages.Add(ChatMessage.User(Text(number + 1, plan.PromptWords)));
        return messages;
    }

    private string Text(int number, int words)
    {
        var random = new PhiloxRandom(plan.Seed, stream: (ulong)number + 2);
        return string.Join(' ', Enumerable.Range(0, words).Select(_ => Words[random.NextInt32(Words.Length)]));
    }
}
