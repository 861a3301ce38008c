using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Alignment;

namespace TrainServe.Training.Reinforcement;

/// <summary>The four models of PPO. Only policy and critic are trained.</summary>
internal sealed record PpoModels(Transformer Policy, Transformer Reference, Transformer Reward, Transformer Critic) : IDisposable
{
    /// <param name="policy">Also the reference, as a second copy.</param>
    /// <param name="reward">Gives scores; its body is also the critic's first one, under a head of zeros.</param>
    /// <param name="device">Where all of them live; the CPU when null.</param>
    public static PpoModels Load(StageModel policy, ModelPackage reward, TorchSharp.torch.Device? device)
    {
        var loaded = new List<Transformer>();
        try
        {
            loaded.Add(Transformer.Load(policy.Package, device: device));
            loaded.Add(Transformer.Load(policy.Package, device: device));
            loaded.Add(Transformer.Load(reward, device: device));
            loaded.Add(ScoredTransformer.LoadCritic(reward, device));
            return new PpoModels(loaded[0], loaded[1], loaded[2], loaded[3]);
        }
        catch
        {
            loaded.ForEach(model => model.Dispose());
            throw;
        }
    }

    /// <summary>Sets what all four compute with: what is compared must not differ by its rounding.</summary>
    /// <param name="precision">Of all of them.</param>
    /// <param name="activationCheckpointing">Of those that are trained.</param>
    public void Choose(TrainingPrecision precision, bool activationCheckpointing)
    {
        Policy.ActivationCheckpointing = Critic.ActivationCheckpointing = activationCheckpointing;
        foreach (var model in (ReadOnlySpan<Transformer>)[Policy, Reference, Reward, Critic])
        {
            model.Kernels = TrainingKernels.Choose(precision, model);
        }
    }

    public void Dispose()
    {
        Policy.Dispose();
        Reference.Dispose();
        Reward.Dispose();
        Critic.Dispose();
    }
}
