using TrainServe.Core;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Scaling;

/// <summary>Sizes of one network, from small to large: width, inner width and depth grow together, heads keep their size.</summary>
public static class ScalingLadder
{
    /// <summary>The shape at a part of its size.</summary>
    /// <param name="model">The whole.</param>
    /// <param name="scale">Of width and depth; 1 is the whole itself.</param>
    /// <exception cref="RecipeException">The scale leaves no network.</exception>
    public static ModelSection Scaled(ModelSection model, double scale)
    {
        int head = model.HeadDim ?? model.HiddenSize / model.NumAttentionHeads, groups = model.NumAttentionHeads / (model.NumKeyValueHeads ?? model.NumAttentionHeads);
        int heads = (int)Math.Round(model.NumAttentionHeads * scale / groups) * groups, layers = (int)Math.Round(model.NumHiddenLayers * scale);
        if (heads < 1 || layers < 1)
        {
            throw new RecipeException($"A scale of {scale} leaves {heads} heads and {layers} layers of the recipe's model; take a larger one.");
        }
        // By whole heads, as the heads are rounded.
        int width = (int)Math.Round((double)model.HiddenSize * heads / model.NumAttentionHeads), inner = (int)Math.Round((double)model.IntermediateSize * heads / model.NumAttentionHeads / 16) * 16;
        return model with { HiddenSize = width, IntermediateSize = Math.Max(16, inner), NumHiddenLayers = layers, NumAttentionHeads = heads, NumKeyValueHeads = heads / groups, HeadDim = head };
    }

    /// <summary>The next rung above the largest: as far from it as it is from the one before.</summary>
    public static double Next(IReadOnlyList<double> scales)
    {
        double[] sorted = [.. scales.Distinct().Order()];
        return sorted.Length < 2 ? 2 * sorted[^1] : sorted[^1] * sorted[^1] / sorted[^2];
    }
}
