using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, S time including what is cached. True where a query may see a key.

/// <summary>Masks for the cases where causality alone is not enough. All of them are causal.</summary>
public static class AttentionMask
{
    /// <summary>The last T of S tokens see every token up to themselves.</summary>
    /// <returns>[1, 1, T, S], owned by the caller.</returns>
    public static Tensor Causal(long queries, long keys, Device? device = null)
    {
        using var scope = NewDisposeScope();
        return ones([queries, keys], ScalarType.Bool, device).tril(keys - queries).view(1, 1, queries, keys).MoveToOuterDisposeScope();
    }

    /// <summary>Documents that were packed into one row do not see each other.</summary>
    /// <param name="documentsBT">A number for each token that is equal within a document and different between neighbours, [B, T].</param>
    /// <returns>[B, 1, T, T], owned by the caller.</returns>
    public static Tensor Documents(Tensor documentsBT)
    {
        using var scope = NewDisposeScope();
        var sameBTT = documentsBT.unsqueeze(2) == documentsBT.unsqueeze(1);
        return sameBTT.tril().unsqueeze(1).MoveToOuterDisposeScope();
    }

    /// <summary>Rows padded at their start, so that all end together.</summary>
    /// <param name="paddingB">How many tokens at the start of each row are padding, [B].</param>
    /// <param name="queries">T: the last so many of the keys.</param>
    /// <param name="keys">S.</param>
    /// <remarks>A padding token sees itself, since a softmax over nothing is not a number; nothing else sees it.</remarks>
    /// <returns>[B, 1, T, S], owned by the caller.</returns>
    public static Tensor LeftPadded(Tensor paddingB, long queries, long keys)
    {
        using var scope = NewDisposeScope();
        var keyS = LiveScalar.Range(0, keys, paddingB.device);
        var queryT = keyS.narrow(0, keys - queries, queries).unsqueeze(1);
        var realBTS = keyS.view(1, 1, keys) >= paddingB.view(-1, 1, 1);
        var causalTS = keyS <= queryT;
        return (realBTS & causalTS | (keyS == queryT)).unsqueeze(1).MoveToOuterDisposeScope();
    }
}
