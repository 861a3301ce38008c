using System.Globalization;

namespace TrainServe.Core.Packaging;

/// <summary>Names of the exported graph's inputs, outputs and operators: the exporter declares them, the inference engine binds them.</summary>
public static class GraphNames
{
    /// <summary>The domain of TrainServe's own operators, which the inference engine brings along.</summary>
    public const string KernelDomain = "trainserve";

    /// <summary>int64 [B, S]: token ids, right-padded.</summary>
    public const string InputIds = "input_ids";

    /// <summary>int32 [B]: for each row the number of valid tokens, cached and new, less one.</summary>
    public const string SequenceLengths = "seqlens_k";

    /// <summary>int32 [1]: the largest number of valid tokens of any row; equal to S it says that nothing is cached.</summary>
    public const string TotalLength = "total_sequence_length";

    /// <summary>int64 [R]: rows of the flattened [B*S] positions whose logits, score or hidden state are wanted.</summary>
    public const string LogitIndex = "logit_idx";

    /// <summary>float32 [R, V].</summary>
    public const string Logits = "logits";

    /// <summary>float32 [R, 1], in place of logits: the score of a reward model.</summary>
    public const string Score = "score";

    /// <summary>float32 [R, C]: what the head reads, the last layer's output after the final norm.</summary>
    public const string Hidden = "hidden";

    /// <summary>float32 or int8 [B, K, M, D]: cached keys of a layer; bound to the same memory as <see cref="PresentKey"/>.</summary>
    public static string PastKey(int layer) => Of("past_key", layer);
    public static string PastValue(int layer) => Of("past_value", layer);
    public static string PresentKey(int layer) => Of("present_key", layer);
    public static string PresentValue(int layer) => Of("present_value", layer);

    private static string Of(string name, int layer) => string.Create(CultureInfo.InvariantCulture, $"{name}.{layer}");
}
