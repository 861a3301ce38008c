using TrainServe.Core;

namespace TrainServe.Cli.Benchmarks;

/// <summary>What load to put on a server.</summary>
public sealed record LoadPlan
{
    public required Uri Url { get; init; }
    public required string Model { get; init; }
    public int Requests { get; init; } = 64;

    /// <summary>Closed loop: requests at a time.</summary>
    public int Concurrency { get; init; } = 8;

    /// <summary>Open loop where given: mean of the random arrivals, which do not wait for answers.</summary>
    public double? RequestsPerSecond { get; init; }
    public int PromptWords { get; init; } = 100;
    public int SharedWords { get; init; }
    public int MaxTokens { get; init; } = 64;

    /// <summary>Answers go on to their most tokens, so that all runs make as many.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>A request counts for goodput when its first token came within this time of when it was due.</summary>
    public TimeSpan FirstTokenObjective { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>And each further one within this time, on average.</summary>
    public TimeSpan PerTokenObjective { get; init; } = TimeSpan.FromMilliseconds(100);
    public ulong Seed { get; init; } = 1;

    /// <exception cref="RecipeException">A number is out of its range.</exception>
    public LoadPlan Validated()
    {
        Require(Url.IsAbsoluteUri && Url.Scheme is "http" or "https", "--url must be an http or https address.");
        Require(Requests is >= 1 and <= 10_000_000, "--requests must be from 1 to 10,000,000.");
        Require(Concurrency is >= 1 and <= 100_000, "--concurrency must be from 1 to 100,000.");
        Require(RequestsPerSecond is null or > 0, "--rate must be above 0.");
        Require(PromptWords >= 1 && SharedWords >= 0, "--prompt-words must be 1 or more, --shared-words 0 or more.");
        Require(MaxTokens >= 1, "--max-tokens must be 1 or more.");
        return this;

        static void Require(bool holds, string rule)
        {
            if (!holds)
            {
                throw new RecipeException(rule);
            }
        }
    }
}
