using System.Globalization;
using TrainServe.Core.Packaging;
using TrainServe.Training.Alignment;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Reinforcement;

/// <summary>Proximal policy optimization: sample answers, score them, learn how much better than expected each token was.</summary>
/// <remarks>Schulman et al. 2017, arXiv:1707.06347; for language models Ziegler et al. 2019, arXiv:1909.08593, and Ouyang et al. 2022, arXiv:2203.02155.</remarks>
internal sealed class PpoObjective : IObjective
{
    /// <summary>Files of a checkpoint beside the policy's.</summary>
    public const string CriticFile = "critic.safetensors", CriticMomentsFile = "critic-optimizer.safetensors";

    // Numbers of steps that no training has: what is sampled to measure.
    private const long HeldOutStep = -(1L << 40);
    private readonly PpoRecipe _recipe;
    private readonly PromptData _data;
    private readonly PpoModels _models;
    private readonly StageModel _parent;
    private readonly IProcessGroup _processes;
    private readonly RolloutSampler _sampler;
    private readonly ModelUpdate _policy, _critic;
    private readonly PolicyUpdates _updates;
    private readonly LearningRateSchedule _policySchedule, _criticSchedule;
    private readonly KlController _kl;
    private readonly NegativeKlAlarm _alarm = new();
    private double _scoreMean, _scoreDeviation = 1;

    public PpoObjective(PpoRecipe recipe, PromptData data, PpoModels models, StageModel parent, IProcessGroup processes)
    {
        (_recipe, _data, _models, _parent, _processes) = (recipe, data, models, parent, processes);
        Order = data.Order(recipe.Seed);
        _sampler = new RolloutSampler(models.Policy, parent.Template.StopTokenIds, recipe.Rollout, parent.Padding, recipe.Seed, processes);
        _policy = new ModelUpdate(models.Policy, recipe.Optimizer, TrainingLoop.WeightsFile, TrainingLoop.MomentsFile, processes);
        _critic = new ModelUpdate(models.Critic, recipe.ValueOptimizer, CriticFile, CriticMomentsFile, processes);
        _policySchedule = LearningRateSchedule.Of(recipe.Optimizer, TotalSteps);
        _criticSchedule = LearningRateSchedule.Of(recipe.ValueOptimizer, TotalSteps);
        _kl = new KlController(recipe.Kl);
        _updates = new PolicyUpdates(_policy, _critic, new UpdateRules
        {
            Update = recipe.Update,
            Temperature = recipe.Rollout.Temperature,
            Padding = parent.Padding,
            Seed = recipe.Seed,
            ValueClipRange = recipe.Ppo.ValueClipRange,
            ValueCoefficient = recipe.Ppo.ValueCoefficient,
        }, processes);
    }

    public ExampleOrder Order { get; }
    public long TotalSteps => _recipe.Update.Iterations;

    public IEnumerable<TorchSharp.Modules.Parameter> Parameters => _policy.Parameters.Concat(_critic.Parameters);

    public ObjectiveState State => new()
    {
        Updates = new Dictionary<string, long>(StringComparer.Ordinal) { ["policy"] = _policy.Updates, ["critic"] = _critic.Updates },
        Values = new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["kl_coefficient"] = _kl.Coefficient,
            ["negative_kl_steps"] = _alarm.StepsInARow,
            ["score_mean"] = _scoreMean,
            ["score_deviation"] = _scoreDeviation,
        },
    };

    /// <summary>Finds mean and deviation of the scores of the first policy's answers.</summary>
    public void Begin(Action<string> note, CancellationToken stop)
    {
        var scores = new List<double>();
        while (scores.Count < _recipe.Ppo.NormalizationSamples)
        {
            _processes.ThrowIfStopped(stop);
            int count = Math.Min(_recipe.Rollout.Prompts, _recipe.Ppo.NormalizationSamples - scores.Count);
            // Steps before the first: other answers than those that are learned from.
            var answers = _sampler.Sample(_data.Take(Order, scores.Count, count), step: -1 - scores.Count);
            scores.AddRange(_sampler.Scores(answers, _models.Reward));
        }
        if (scores.Count == 0)
        {
            return;
        }
        _scoreMean = scores.Average();
        double deviation = Math.Sqrt(scores.Sum(score => (score - _scoreMean) * (score - _scoreMean)) / (scores.Count - 1));
        _scoreDeviation = deviation > 1e-6 ? deviation : 1;
        note(string.Create(CultureInfo.InvariantCulture, $"Scores are shifted by {-_scoreMean:F3} and divided by {_scoreDeviation:F3}: then those of {scores.Count} answers of the first policy have mean 0 and standard deviation 1."));
    }

    public ObjectiveStep Advance(long step)
    {
        int rows = _recipe.Rollout.Prompts;
        var answers = _sampler.Sample(_data.Take(Order, step * rows, rows), step);
        double[] raw = _sampler.Scores(answers, _models.Reward);
        _sampler.AddLogProbs(answers, _models.Policy, (experience, values) => experience.LogProbs = values);
        _sampler.AddLogProbs(answers, _models.Reference, (experience, values) => experience.ReferenceLogProbs = values);
        _sampler.AddValues(answers, _models.Critic);
        Judge(answers, raw);
        double explained = ExplainedVariance(answers), coefficient = _kl.Coefficient;
        double advantageMean = answers.SelectMany(experience => experience.Advantages).Average(value => (double)value);
        if (_recipe.Ppo.WhitenAdvantages)
        {
            AdvantageEstimation.Whiten([.. answers.Select(experience => experience.Advantages)], shiftMean: true);
        }
        double policyRate = _policySchedule.At(step), criticRate = _criticSchedule.At(step);
        var updates = _updates.Run([.. answers.Select(experience => new[] { experience })], step, policyRate, criticRate);
        double kl = answers.Average(experience => experience.Kl);
        _kl.Observe(kl, rows);
        var scalars = RolloutMetrics.Of(answers, raw, updates, _recipe.Rollout.Temperature);
        scalars["score"] = answers.Average(experience => experience.Score);
        scalars["kl_coefficient"] = coefficient;
        scalars["value_loss"] = updates.ValueLoss / Math.Max(1, updates.Tokens);
        scalars["value_norm"] = updates.ValueNorm / updates.Updates;
        scalars["explained_variance"] = explained;
        scalars["value_mean"] = answers.SelectMany(experience => experience.Values).Average(value => (double)value);
        scalars["return_mean"] = answers.SelectMany(experience => experience.Returns).Average(value => (double)value);
        scalars["advantage_mean"] = advantageMean;
        return new ObjectiveStep(scalars["policy_loss"] + _recipe.Ppo.ValueCoefficient * scalars["value_loss"], updates.PolicyNorm / updates.Updates, policyRate, answers.Sum(experience => (long)experience.Answer.Length), scalars)
        {
            IsSkipped = updates.Skipped > 0,
            Origin = string.Join(' ', answers.Select(experience => experience.Prompt.Prompt.Origin)),
            Texts = RolloutMetrics.Texts(answers, raw, _parent.Tokenizer),
            Alarm = _alarm.Observe(kl),
        };
    }

    /// <summary>What is maximized, on answers to prompts that are not learned from: the normal score less the divergence at the first coefficient.</summary>
    public ObjectiveMeasurement? Measure(CancellationToken stop)
    {
        double scores = 0, kl = 0;
        int count = 0;
        foreach (var prompts in _data.HeldOut(_recipe.Validation.MaxRows).Chunk(_recipe.Rollout.Prompts))
        {
            _processes.ThrowIfStopped(stop);
            // The same draws at each measurement.
            var answers = _sampler.Sample(prompts, HeldOutStep - count);
            _sampler.AddLogProbs(answers, _models.Policy, (experience, values) => experience.LogProbs = values);
            _sampler.AddLogProbs(answers, _models.Reference, (experience, values) => experience.ReferenceLogProbs = values);
            scores += _sampler.Scores(answers, _models.Reward).Sum(score => (score - _scoreMean) / _scoreDeviation);
            kl += answers.Sum(experience => experience.Kl);
            count += prompts.Length;
        }
        if (count == 0)
        {
            return null;
        }
        double loss = (_recipe.Kl.Coefficient * kl - scores) / count;
        return new ObjectiveMeasurement(loss, new Dictionary<string, double>(StringComparer.Ordinal), new Dictionary<string, double>(StringComparer.Ordinal) { ["score"] = scores / count, ["kl"] = kl / count });
    }

    public Dictionary<string, IReadOnlyList<SafeTensor>> Weights()
    {
        var files = new Dictionary<string, IReadOnlyList<SafeTensor>>(StringComparer.Ordinal);
        _policy.AddWeights(files);
        return files;
    }

    public void AddRest(Dictionary<string, IReadOnlyList<SafeTensor>> files)
    {
        _policy.AddMoments(files);
        _critic.AddWeights(files);
        _critic.AddMoments(files);
    }

    public void Restore(Checkpoint checkpoint, ObjectiveState state)
    {
        _policy.RestoreWeights(checkpoint);
        _policy.RestoreMoments(checkpoint, state.Updates["policy"]);
        _critic.RestoreWeights(checkpoint);
        _critic.RestoreMoments(checkpoint, state.Updates["critic"]);
        _kl.Coefficient = state.Values["kl_coefficient"];
        _alarm.StepsInARow = (int)state.Values["negative_kl_steps"];
        (_scoreMean, _scoreDeviation) = (state.Values["score_mean"], state.Values["score_deviation"]);
    }

    public void RestoreWeights(Checkpoint best) => _policy.RestoreWeights(best);

    public void Dispose()
    {
        _policy.Dispose();
        _critic.Dispose();
    }

    // From scores to rewards, advantages and returns.
    private void Judge(IReadOnlyList<Experience> answers, double[] raw)
    {
        var rewards = new List<float[]>(answers.Count);
        foreach (var (experience, score) in answers.Zip(raw))
        {
            double normal = (score - _scoreMean) / _scoreDeviation;
            normal = _recipe.Ppo.ScoreLimit > 0 ? Math.Clamp(normal, -_recipe.Ppo.ScoreLimit, _recipe.Ppo.ScoreLimit) : normal;
            experience.Score = normal - (experience.IsEnded ? 0 : _recipe.Ppo.MissingEndPenalty);
            rewards.Add(AdvantageEstimation.Rewards(experience.LogProbs, experience.ReferenceLogProbs, _kl.Coefficient, experience.Score));
        }
        if (_recipe.Ppo.WhitenRewards)
        {
            AdvantageEstimation.Whiten(rewards, shiftMean: false);
        }
        foreach (var (experience, byToken) in answers.Zip(rewards))
        {
            experience.Advantages = AdvantageEstimation.Advantages(byToken, experience.Values, _recipe.Ppo.Gamma, _recipe.Ppo.Lambda);
            // Before the advantages are whitened.
            experience.Returns = [.. experience.Advantages.Zip(experience.Values, (advantage, value) => advantage + value)];
        }
    }

    /// <summary>The part of the returns' variance that the values foresaw: 1 is all, 0 none, less is worse than a constant.</summary>
    private static double ExplainedVariance(IReadOnlyList<Experience> answers)
    {
        double[] returns = [.. answers.SelectMany(experience => experience.Returns).Select(value => (double)value)];
        double[] errors = [.. answers.SelectMany(experience => experience.Returns.Zip(experience.Values, (wanted, value) => (double)wanted - value))];
        double Variance(double[] values) => values.Average() is var mean ? values.Average(value => (value - mean) * (value - mean)) : 0;
        double all = Variance(returns);
        return all > 0 ? 1 - Variance(errors) / all : 0;
    }
}
