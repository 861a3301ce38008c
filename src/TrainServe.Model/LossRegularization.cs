namespace TrainServe.Model;

/// <summary>What is added to the next-token loss against overconfidence; nothing by default.</summary>
/// <param name="LabelSmoothing">The part of the target that is spread evenly over the vocabulary. Szegedy et al. 2016, arXiv:1512.00567.</param>
/// <param name="ZLoss">Weight of log(sum(exp(logits)))^2, which keeps logits near 0. Chowdhery et al. 2022, arXiv:2204.02311: 1e-4.</param>
public readonly record struct LossRegularization(float LabelSmoothing = 0, float ZLoss = 0)
{
    public bool IsOn => LabelSmoothing > 0 || ZLoss > 0;
}
