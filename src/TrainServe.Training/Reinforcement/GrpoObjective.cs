using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Alignment;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement.Rewards;

namespace TrainServe.Training.Reinforcement;

/// <summary>Reinforcement learning without a critic: several answers to each prompt are compared with each other.</summary>
/// <remarks>Shao et al. 2024, arXiv:2402.03300, eq. 3; with the advantage rloo and one epoch Ahmadian et al. 2024, arXiv:2402.14740.</remarks>
internal sealed class GrpoObjective : IObjective
{
    // Numbers of steps that no training has: what is sampled to measure.
    private const long HeldOutStep = -(1L << 40);
    private readonly GrpoRecipe _recipe;
    private readonly PromptData _data;
    private readonly Transformer _policyModel;
    private readonly Transformer? _reference, _reward;
    private readonly StageModel _parent;
    private readonly IProcessGroup _processes;
    private readonly RolloutSampler _sampler;
    private readonly ModelUpdate _policy;
    private readonly PolicyUpdates _updates;
    private readonly LearningRateSchedule _schedule;
    private readonly RewardSum _rewards;
    private readonly double _modelWeight;
    private readonly NegativeKlAlarm _alarm = new();

    /// <param name="recipe">What to do.</param>
    /// <param name="data">The prompts.</param>
    /// <param name="policy">Trained.</param>
    /// <param name="reference">A second copy; null where the divergence has no weight.</param>
    /// <param name="reward">The reward model; null where none is named.</param>
    /// <param name="parent">Tokenizer and template.</param>
    /// <param name="processes">That share every step.</param>
    public GrpoObjective(GrpoRecipe recipe, PromptData data, Transformer policy, Transformer? reference, Transformer? reward, StageModel parent, IProcessGroup processes)
    {
        (_recipe, _data, _policyModel, _reference, _reward, _parent, _processes) = (recipe, data, policy, reference, reward, parent, processes);
        Order = data.Order(recipe.Seed);
        _rewards = new RewardSum([.. recipe.Rewards.Where(section => section.Kind != RewardKind.Model).Select(RewardFunctions.Of)], recipe.OnRewardError);
        _modelWeight = recipe.Rewards.Where(section => section.Kind == RewardKind.Model).Sum(section => section.Weight);
        _sampler = new RolloutSampler(policy, parent.Template.StopTokenIds, recipe.Rollout, parent.Padding, recipe.Seed, processes);
        _policy = new ModelUpdate(policy, recipe.Optimizer, TrainingLoop.WeightsFile, TrainingLoop.MomentsFile, processes);
        _schedule = LearningRateSchedule.Of(recipe.Optimizer, TotalSteps);
        bool isInLoss = recipe.Grpo.KlEstimator != KlEstimator.K1;
        _updates = new PolicyUpdates(_policy, critic: null, new UpdateRules
        {
            Update = recipe.Update,
            Temperature = recipe.Rollout.Temperature,
            Padding = parent.Padding,
            Seed = recipe.Seed,
            KlCoefficient = isInLoss ? recipe.Grpo.KlCoefficient : 0,
            KlEstimator = recipe.Grpo.KlEstimator,
            TokensPerAnswer = recipe.Grpo.Normalization == LengthNormalization.Constant ? recipe.Rollout.MaxNewTokens : null,
        }, processes);
    }

    public ExampleOrder Order { get; }
    public long TotalSteps => _recipe.Update.Iterations;

    public IEnumerable<TorchSharp.Modules.Parameter> Parameters => _policy.Parameters;

    public ObjectiveState State => new()
    {
        Updates = new Dictionary<string, long>(StringComparer.Ordinal) { ["policy"] = _policy.Updates },
        Values = new Dictionary<string, double>(StringComparer.Ordinal) { ["negative_kl_steps"] = _alarm.StepsInARow, ["reward_errors"] = _rewards.Errors },
    };

    /// <summary>Judges an empty answer to every prompt: a record that cannot be judged is found before the first step.</summary>
    public void Begin(Action<string> note, CancellationToken stop)
    {
        foreach (var prompt in _data.All)
        {
            _rewards.Judge(prompt.Prompt, "");
        }
        if (_rewards.Errors > 0)
        {
            note($"{_rewards.Errors} prompts cannot be judged; every answer to them gets 0 by on_reward_error.");
        }
    }

    public ObjectiveStep Advance(long step)
    {
        int size = _recipe.Grpo.GroupSize;
        var prompts = _data.Take(Order, step * _recipe.Rollout.Prompts, _recipe.Rollout.Prompts);
        var answers = _sampler.Sample([.. prompts.SelectMany(prompt => Enumerable.Repeat(prompt, size))], step);
        _sampler.AddLogProbs(answers, _policyModel, (experience, values) => experience.LogProbs = values);
        AddReference(answers);
        var (rewards, byFunction) = Judge(answers);
        Experience[][] groups = [.. answers.Chunk(size)];
        int flat = 0;
        foreach (var group in groups)
        {
            double[] scores = [.. group.Select(Counted)];
            double[] advantages = GroupAdvantages.Of(scores, _recipe.Grpo.Advantage);
            flat += advantages.All(advantage => advantage == 0) ? 1 : 0;
            for (int i = 0; i < group.Length; i++)
            {
                group[i].Advantages = new float[group[i].Answer.Length];
                Array.Fill(group[i].Advantages, (float)advantages[i]);
                group[i].IsMasked = !group[i].IsEnded && _recipe.Grpo.Truncated == TruncatedRule.Mask;
            }
        }
        double rate = _schedule.At(step);
        var updates = _updates.Run(groups, step, rate, 0);
        var scalars = RolloutMetrics.Of(answers, rewards, updates, _recipe.Rollout.Temperature);
        foreach (var (name, value) in byFunction)
        {
            scalars[$"reward/{name}"] = value;
        }
        scalars["flat_groups"] = (double)flat / groups.Length;
        scalars["masked"] = answers.Average(experience => experience.IsMasked ? 1.0 : 0);
        scalars["reward_errors"] = _rewards.Errors;
        return new ObjectiveStep(scalars["policy_loss"], updates.PolicyNorm / Math.Max(1, updates.Updates), rate, updates.Tokens / _recipe.Update.Epochs, scalars)
        {
            IsSkipped = updates.Skipped > 0,
            Origin = string.Join(' ', prompts.Select(prompt => prompt.Prompt.Origin)),
            Texts = RolloutMetrics.Texts(answers, rewards, _parent.Tokenizer),
            Alarm = _reference is null ? null : _alarm.Observe(answers.Average(experience => experience.Kl)),
        };
    }

    /// <summary>The mean reward of one answer to each held-out prompt: where a reward is 0 or 1, pass@1.</summary>
    public ObjectiveMeasurement? Measure(CancellationToken stop)
    {
        var found = new List<double>();
        foreach (var prompts in _data.HeldOut(_recipe.Validation.MaxRows).Chunk(_recipe.Rollout.Prompts * _recipe.Grpo.GroupSize))
        {
            _processes.ThrowIfStopped(stop);
            found.AddRange(Judge(_sampler.Sample(prompts, HeldOutStep - found.Count)).Rewards);
        }
        return found.Count == 0 ? null
            : new ObjectiveMeasurement(-found.Average(), new Dictionary<string, double>(StringComparer.Ordinal), new Dictionary<string, double>(StringComparer.Ordinal) { ["reward"] = found.Average() });
    }

    public Dictionary<string, IReadOnlyList<SafeTensor>> Weights()
    {
        var files = new Dictionary<string, IReadOnlyList<SafeTensor>>(StringComparer.Ordinal);
        _policy.AddWeights(files);
        return files;
    }

    public void AddRest(Dictionary<string, IReadOnlyList<SafeTensor>> files) => _policy.AddMoments(files);

    public void Restore(Checkpoint checkpoint, ObjectiveState state)
    {
        _policy.RestoreWeights(checkpoint);
        _policy.RestoreMoments(checkpoint, state.Updates["policy"]);
        _alarm.StepsInARow = (int)state.Values["negative_kl_steps"];
        _rewards.Errors = (long)state.Values.GetValueOrDefault("reward_errors");
    }

    public void RestoreWeights(Checkpoint best) => _policy.RestoreWeights(best);

    public void Dispose() => _policy.Dispose();

    private void AddReference(IReadOnlyList<Experience> answers)
    {
        if (_reference is not null)
        {
            _sampler.AddLogProbs(answers, _reference, (experience, values) => experience.ReferenceLogProbs = values);
            return;
        }
        foreach (var experience in answers)
        {
            // Without a reference there is no divergence to tell.
            experience.ReferenceLogProbs = experience.LogProbs;
        }
    }

    // Rewards as they are, and the mean of each part; the answers keep the sum.
    private (double[] Rewards, Dictionary<string, double> ByFunction) Judge(IReadOnlyList<Experience> answers)
    {
        double[] scores = _reward is null ? [] : _sampler.Scores(answers, _reward);
        var rewards = new double[answers.Count];
        var means = new Dictionary<string, double>(StringComparer.Ordinal);
        for (int i = 0; i < answers.Count; i++)
        {
            string text = _parent.Tokenizer.Decode(answers[i].Answer.AnswerIds);
            double[] found = _rewards.Judge(answers[i].Prompt.Prompt, text);
            for (int part = 0; part < found.Length; part++)
            {
                rewards[i] += _rewards.Functions[part].Weight * found[part];
                means[_rewards.Functions[part].Name] = means.GetValueOrDefault(_rewards.Functions[part].Name) + found[part] / answers.Count;
            }
            if (_reward is not null)
            {
                rewards[i] += _modelWeight * scores[i];
                means["model"] = means.GetValueOrDefault("model") + scores[i] / answers.Count;
            }
            answers[i].Score = rewards[i];
        }
        return (rewards, means);
    }

    // What is compared: the reward with the rule for truncated answers, and with the divergence where that belongs into the reward.
    private double Counted(Experience experience) => experience.Score
        - (!experience.IsEnded && _recipe.Grpo.Truncated == TruncatedRule.Penalize ? _recipe.Grpo.TruncationPenalty : 0)
        - (_recipe.Grpo.KlEstimator == KlEstimator.K1 ? _recipe.Grpo.KlCoefficient * experience.Kl : 0);
}
