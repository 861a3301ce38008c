using TrainServe.Evaluation.Metrics;

namespace TrainServe.Evaluation;

/// <summary>What a task found.</summary>
public sealed record TaskResult
{
    /// <summary>choice, completion, text, generation, preference or win.</summary>
    public required string Kind { get; init; }

    /// <summary>Questions, documents or pairs.</summary>
    public required int Count { get; init; }

    /// <summary>By name: accuracy, perplexity...</summary>
    public required IReadOnlyDictionary<string, double> Metrics { get; init; }

    /// <summary>95 % intervals of some of them.</summary>
    public IReadOnlyDictionary<string, Interval> Intervals { get; init; } = new Dictionary<string, Interval>(StringComparer.Ordinal);

    /// <summary>Accuracy of each phenomenon or subject.</summary>
    public IReadOnlyDictionary<string, double>? Groups { get; init; }

    /// <summary>The first answers, for people to read.</summary>
    public IReadOnlyList<string>? Samples { get; init; }
}

/// <summary>All results of a model: one JSON object.</summary>
public sealed record EvaluationReport
{
    public required string Model { get; init; }

    /// <summary>Hash of the weights that were evaluated.</summary>
    public required string WeightsSha256 { get; init; }

    /// <summary>What computed: torch, or onnx with a precision.</summary>
    public required string Backend { get; init; }
    public required string CodeVersion { get; init; }
    public required IReadOnlyDictionary<string, TaskResult> Tasks { get; init; }
}
