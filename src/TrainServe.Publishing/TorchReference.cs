using TorchSharp;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Model.Generation;
using static TorchSharp.torch;

namespace TrainServe.Publishing;

// B batch of 1, T time, V vocabulary.

/// <summary>What the trained network itself makes of the parity check's texts: always whole sequences, no cache.</summary>
internal static class TorchReference
{
    /// <summary>The prompts with their greedy continuations, then the long text.</summary>
    public static IReadOnlyList<ParitySequence> Compute(ModelPackage package)
    {
        using var grad = no_grad();
        using var model = Transformer.Load(package);
        var sequences = package.Config.IsRewardModel
            ? ParityPrompts.Continued(package.Config).Select(text => new ParitySequence(text.Ids, text.PromptLength, Logits(model, text.Ids))).ToList()
            : ParityPrompts.Short(package.Config).Select(prompt => Continue(model, prompt)).ToList();
        int[] text = ParityPrompts.Long(package.Config);
        sequences.Add(new ParitySequence(text, text.Length, Logits(model, text)));
        return sequences;
    }

    // The cache makes the continuation fast; the logits that count are computed afterwards from the whole sequence.
    private static ParitySequence Continue(Transformer model, int[] prompt)
    {
        int end = Math.Min(prompt.Length + ParityPrompts.GreedyTokens, model.Config.MaxPositionEmbeddings);
        using var cache = new TorchKvCache(model.Config, batch: 1, capacity: end);
        var ids = new List<int>(prompt);
        int[] next = prompt;
        while (ids.Count < end)
        {
            next = [MostLikely(model, next, cache)];
            ids.AddRange(next);
        }
        int[] all = [.. ids];
        return new ParitySequence(all, prompt.Length, Logits(model, all));
    }

    private static int MostLikely(Transformer model, int[] ids, TorchKvCache cache)
    {
        using var scope = NewDisposeScope();
        var hiddenBTC = model.Hidden(tensor(ids, dtype: ScalarType.Int64).unsqueeze(0), cache: cache);
        return (int)model.Head(hiddenBTC.select(1, -1)).argmax(-1).item<long>();
    }

    private static float[] Logits(Transformer model, int[] ids)
    {
        using var scope = NewDisposeScope();
        var idsBT = tensor(ids, dtype: ScalarType.Int64).unsqueeze(0);
        return model.forward(idsBT).to(ScalarType.Float32).data<float>().ToArray();
    }
}
