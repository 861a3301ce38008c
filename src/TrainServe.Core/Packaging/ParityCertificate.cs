namespace TrainServe.Core.Packaging;

/// <summary>Proof that an ONNX export computes what the trained weights compute, measured when it was published.</summary>
/// <remarks>
/// Errors are the largest absolute differences of logits. The hashes bind the proof to these files. With fewer bits an export cannot equal the weights: then
/// <see cref="Cost"/> says what that costs, and the other figures prove that the export equals itself, whole, in chunks, token by token and in batches.
/// </remarks>
public sealed record ParityCertificate
{
    /// <summary>fp32, fp16, int8 or int4.</summary>
    public required string Precision { get; init; }
    public required DateTimeOffset Measured { get; init; }

    /// <summary>Of model.safetensors.</summary>
    public required string WeightsSha256 { get; init; }

    /// <summary>Of onnx/PRECISION/model.onnx.</summary>
    public required string GraphSha256 { get; init; }

    /// <summary>Of the graph's external data.</summary>
    public required string DataSha256 { get; init; }

    /// <summary>Largest error that was allowed; for few bits, of all but the teacher-forced one.</summary>
    public required double Tolerance { get; init; }

    /// <summary>Positions whose logits were compared.</summary>
    public required int Positions { get; init; }

    /// <summary>TorchSharp against ONNX Runtime on whole sequences. For few bits this is how far the weights' rounding moves a logit at most.</summary>
    public required double TeacherForcedError { get; init; }

    /// <summary>Prefill in chunks, of the engine's size and of a small one, against TorchSharp on whole sequences; for few bits, against the export's own whole sequences.</summary>
    public required double ChunkedError { get; init; }

    /// <summary>Prefill token by token, likewise.</summary>
    public required double TokenByTokenError { get; init; }

    /// <summary>Decoding several sequences in one batch, likewise.</summary>
    public required double BatchedError { get; init; }

    public required int GreedyPrompts { get; init; }

    /// <summary>Tokens generated for each prompt: fewer where the context is short.</summary>
    public required int GreedyTokens { get; init; }

    /// <summary>Prompts whose greedy ids were all equal.</summary>
    public required int GreedyEqual { get; init; }

    /// <summary>Prompts that first differ where the top two logits are closer than twice the measured error. The rest differ for no such reason and fail the proof.</summary>
    public required int GreedyNearTies { get; init; }

    /// <summary>The model gives scores: then the greedy figures count texts that keep their place in the order of their scores.</summary>
    public bool IsOrderOfScores { get; init; }

    /// <summary>Versions of what computed both sides.</summary>
    public required string Runtimes { get; init; }

    /// <summary>What fewer bits cost; null for single precision.</summary>
    public QuantizationCost? Cost { get; init; }

    /// <summary>The first rule that this certificate breaks, or null if it holds.</summary>
    public string? Failure()
    {
        if (Precision != "fp32" && Cost is null)
        {
            return "nobody measured what fewer bits cost";
        }
        foreach (var (name, error) in new[] { ("teacher-forced", Cost is null ? TeacherForcedError : double.IsFinite(TeacherForcedError) ? 0 : TeacherForcedError), ("chunked", ChunkedError), ("token-by-token", TokenByTokenError), ("batched", BatchedError) })
        {
            if (!(error <= Tolerance))
            {
                return $"the {name} logits differ by {error:G3}, more than {Tolerance:G3}";
            }
        }
        if (Positions <= 0 || GreedyPrompts <= 0 || GreedyTokens <= 0)
        {
            return "nothing was compared";
        }
        int unexplained = GreedyPrompts - GreedyEqual - GreedyNearTies;
        return unexplained == 0 ? Cost?.Failure() : $"{unexplained} of {GreedyPrompts} {(IsOrderOfScores ? "texts change their place among the scores" : "greedy continuations differ")} where no near tie explains it";
    }
}
