namespace TrainServe.Core.Sampling;

/// <summary>A token and the natural logarithm of its probability under the model, before any penalty, temperature or filter.</summary>
public readonly record struct TokenLogProb(int Id, float LogProb);

/// <summary>The model's logits are not numbers: weights are damaged, or computing overflowed.</summary>
public sealed class NonFiniteLogitsException : Exception
{
    public NonFiniteLogitsException() : base("The model's logits are not finite numbers.")
    {
    }
}
