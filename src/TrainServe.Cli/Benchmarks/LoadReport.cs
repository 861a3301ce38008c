namespace TrainServe.Cli.Benchmarks;

/// <summary>Milliseconds that a part of the requests stayed within.</summary>
public sealed record Percentiles(double P50, double P90, double P99, double Largest)
{
    /// <summary>Of nothing all are 0.</summary>
    public static Percentiles Of(IEnumerable<TimeSpan> times)
    {
        double[] sorted = [.. times.Select(time => time.TotalMilliseconds).Order()];
        return sorted.Length == 0 ? new Percentiles(0, 0, 0, 0) : new Percentiles(At(0.5), At(0.9), At(0.99), sorted[^1]);

        // The smallest value that this part of all does not exceed.
        double At(double part) => sorted[Math.Max(0, (int)Math.Ceiling(part * sorted.Length) - 1)];
    }
}

/// <summary>What a load run came to.</summary>
public sealed record LoadReport
{
    public required int Answered { get; init; }

    /// <summary>How many failed, by what happened.</summary>
    public required IReadOnlyDictionary<string, int> Failures { get; init; }
    public required double Seconds { get; init; }
    public required double RequestsPerSecond { get; init; }
    public required double TokensPerSecond { get; init; }

    /// <summary>Answered within both objectives, a second.</summary>
    public required double Goodput { get; init; }
    public required double GoodPart { get; init; }
    public required int PromptTokens { get; init; }
    public required int CachedPromptTokens { get; init; }

    /// <summary>Time to the first token.</summary>
    public required Percentiles Ttft { get; init; }

    /// <summary>Mean time of each further token, of each request.</summary>
    public required Percentiles Tpot { get; init; }

    /// <summary>Times between two pieces, of all requests.</summary>
    public required Percentiles Itl { get; init; }
    public required Percentiles EndToEnd { get; init; }

    internal static LoadReport Of(LoadPlan plan, (IReadOnlyList<LoadSample> Samples, TimeSpan Elapsed) run)
    {
        var answered = run.Samples.Where(sample => sample.Failure is null).ToList();
        int good = answered.Count(sample => sample.FirstToken <= plan.FirstTokenObjective && PerToken(sample) <= plan.PerTokenObjective);
        double seconds = run.Elapsed.TotalSeconds;
        return new LoadReport
        {
            Answered = answered.Count,
            Failures = run.Samples.Where(sample => sample.Failure is not null).GroupBy(sample => sample.Failure!, StringComparer.Ordinal).ToDictionary(group => group.Key, group => group.Count(), StringComparer.Ordinal),
            Seconds = seconds,
            RequestsPerSecond = answered.Count / seconds,
            TokensPerSecond = answered.Sum(sample => sample.Tokens) / seconds,
            Goodput = good / seconds,
            GoodPart = (double)good / run.Samples.Count,
            PromptTokens = answered.Sum(sample => sample.PromptTokens),
            CachedPromptTokens = answered.Sum(sample => sample.CachedTokens),
            Ttft = Percentiles.Of(answered.Select(sample => sample.FirstToken)),
            Tpot = Percentiles.Of(answered.Where(sample => sample.Tokens > 1).Select(PerToken)),
            Itl = Percentiles.Of(answered.SelectMany(sample => sample.Gaps)),
            EndToEnd = Percentiles.Of(answered.Select(sample => sample.Total)),
        };
    }

    public void Write(TextWriter output)
    {
        output.WriteLine($"{Answered} answered in {Seconds:N1} s: {RequestsPerSecond:N2} requests/s, {TokensPerSecond:N1} tokens/s; {GoodPart:P1} within the objectives ({Goodput:N2} requests/s)");
        output.WriteLine($"{PromptTokens:N0} prompt tokens, {CachedPromptTokens:N0} of them cached");
        foreach (var (failure, count) in Failures)
        {
            output.WriteLine($"FAILED {count}: {failure}");
        }
        output.WriteLine($"{"milliseconds",-26} {"p50",9} {"p90",9} {"p99",9} {"largest",9}");
        foreach (var (name, times) in new[] { ("first token (TTFT)", Ttft), ("each further (TPOT)", Tpot), ("between pieces (ITL)", Itl), ("end to end", EndToEnd) })
        {
            output.WriteLine($"{name,-26} {times.P50,9:N1} {times.P90,9:N1} {times.P99,9:N1} {times.Largest,9:N1}");
        }
    }

    private static TimeSpan PerToken(LoadSample sample) => sample.Tokens > 1 ? (sample.Total - sample.FirstToken) / (sample.Tokens - 1) : TimeSpan.Zero;
}
