using TrainServe.Training.Data.SmallWorld;

namespace TrainServe.Cli.Quickstart;

/// <summary>What a stage did.</summary>
/// <param name="Name">data, tokenizer, recall, pretrain, sft, export or evaluate.</param>
/// <param name="Seconds">Of all sessions, for training; of the last, for other stages.</param>
/// <param name="TrainLoss">Of the last step.</param>
/// <param name="ValidationLoss">The best one.</param>
/// <param name="Steps">Of training.</param>
/// <param name="Tokens">Learned from.</param>
public sealed record StageReport(string Name, double Seconds, double? TrainLoss = null, double? ValidationLoss = null, long? Steps = null, long? Tokens = null);

/// <summary>How equal the exported model is to the trained one.</summary>
/// <param name="Precision">Of the export.</param>
/// <param name="MaxError">The largest difference of logits.</param>
/// <param name="Tolerance">What is allowed.</param>
/// <param name="GreedyEqual">Continuations that came out equal.</param>
/// <param name="GreedyPrompts">Of how many.</param>
public sealed record ParityReport(string Precision, double MaxError, double Tolerance, int GreedyEqual, int GreedyPrompts);

/// <summary>A question and what the model said.</summary>
public sealed record SampleAnswer(string Prompt, string Answer, IReadOnlyList<string>? Expected = null);

/// <summary><c>report.json</c>, and, until the last stage is done, where a resumed quickstart goes on.</summary>
public sealed record QuickstartReport
{
    public const string FileName = "report.json";

    /// <summary>The model's directory.</summary>
    public required string Model { get; init; }

    /// <summary>What was asked for.</summary>
    public required double Minutes { get; init; }
    public required ulong Seed { get; init; }
    public string? Data { get; init; }

    /// <summary>How the model is aligned; null where it is not.</summary>
    public AlignmentMethod? Align { get; init; }

    /// <summary>Those that are done, in their order.</summary>
    public IReadOnlyList<StageReport> Stages { get; init; } = [];
    public ParityReport? Parity { get; init; }

    /// <summary>Right answers among the questions that need the story.</summary>
    public double? SmallWorldAccuracy { get; init; }

    /// <summary>The same for each baseline: no_story, majority, last_mention.</summary>
    public IReadOnlyDictionary<string, double>? Baselines { get; init; }
    public IReadOnlyDictionary<string, FamilyScore>? Families { get; init; }
    public IReadOnlyList<SampleAnswer>? Samples { get; init; }

    /// <summary>Before and after alignment.</summary>
    public AlignmentReport? Alignment { get; init; }

    public bool IsDone(string stage) => Stages.Any(done => done.Name == stage);
}
