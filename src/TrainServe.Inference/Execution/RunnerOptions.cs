namespace TrainServe.Inference.Execution;

/// <summary>Sizes of a runner, fixed while it lives.</summary>
public sealed record RunnerOptions
{
    /// <summary>Sequences that can be cached at the same time.</summary>
    public required int Slots { get; init; }

    /// <summary>Tokens of one sequence that can be cached; at most the model's max_position_embeddings.</summary>
    public required int ContextLength { get; init; }

    /// <summary>What computes.</summary>
    public InferenceDevice Device { get; init; } = InferenceDevice.Cpu;

    /// <summary>Threads of one step; 0 takes all cores.</summary>
    public int Threads { get; init; }
}
