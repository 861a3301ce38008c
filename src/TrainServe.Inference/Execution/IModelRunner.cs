namespace TrainServe.Inference.Execution;

// B slots that decode, V vocabulary.

/// <summary>Computes logits for tokens that follow what is cached in a slot. The engine's only way to a device.</summary>
/// <remarks>For use by one thread at a time. Logits that a call gives are valid until the next call.</remarks>
internal interface IModelRunner : IDisposable
{
    int VocabSize { get; }
    int Slots { get; }
    int ContextLength { get; }

    /// <summary>Whether <see cref="PrefillHidden"/> may be called: exports of old do not give it.</summary>
    bool GivesHidden { get; }

    /// <summary>Appends tokens to a slot.</summary>
    /// <param name="slot">Which slot.</param>
    /// <param name="start">How many tokens the slot holds already; 0 begins it anew.</param>
    /// <param name="ids">The tokens to append.</param>
    /// <param name="allLogits">False gives the logits after the last token only, [V]; true those after each, [ids, V].</param>
    ReadOnlySpan<float> Prefill(int slot, int start, ReadOnlySpan<int> ids, bool allLogits);

    /// <summary>Appends tokens to a slot, like <see cref="Prefill"/>.</summary>
    /// <returns>What the head reads after each token, [ids, C]; valid until the next call.</returns>
    ReadOnlySpan<float> PrefillHidden(int slot, int start, ReadOnlySpan<int> ids);

    /// <summary>Appends one token to each of the slots from 0 on.</summary>
    /// <param name="ids">[B]</param>
    /// <param name="lengths">[B]: how many tokens each slot holds already.</param>
    /// <returns>[B, V]</returns>
    ReadOnlySpan<float> Decode(ReadOnlySpan<int> ids, ReadOnlySpan<int> lengths);

    /// <summary>Copies the first tokens of one slot over another.</summary>
    void CopySlot(int from, int to, int tokens);
}
