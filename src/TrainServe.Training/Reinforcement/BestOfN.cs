using TrainServe.Core;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Alignment;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Reinforcement;

/// <summary>Answers to one prompt with a reward model's scores, best first.</summary>
public sealed record RankedAnswers(Prompt Prompt, IReadOnlyList<(string Text, double Score)> Answers);

/// <summary>Best of n: samples several answers to each prompt and ranks them by a reward model. No weight is changed.</summary>
/// <remarks>Stiennon et al. 2020, arXiv:2009.01325, section 4.3. With n answers the divergence from the policy is at most log n - (n - 1) / n nats.</remarks>
public sealed class BestOfN : IDisposable
{
    private readonly StageModel _parent;
    private readonly Transformer _policy, _reward;
    private readonly RolloutSampler _sampler;
    private readonly int _samples;

    /// <param name="policy">Samples.</param>
    /// <param name="reward">Scores; of the same tokenizer.</param>
    /// <param name="samples">n, at least 1.</param>
    /// <param name="rollout">Length and temperature.</param>
    /// <param name="seed">Decides what is drawn.</param>
    /// <exception cref="InvalidDataException">The models do not fit together.</exception>
    public BestOfN(ModelPackage policy, ModelPackage reward, int samples, RolloutSection rollout, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(samples);
        _parent = StageModel.Of(policy).RequireLanguageModel();
        var judge = StageModel.Of(reward).RequireRewardModelFor(_parent);
        MaxPromptTokens = ReinforcementPlan.Columns(new PromptDataSection(), rollout, _parent, judge) - rollout.MaxNewTokens;
        _samples = samples;
        _policy = Transformer.Load(policy);
        _reward = Transformer.Load(reward);
        _sampler = new RolloutSampler(_policy, _parent.Template.StopTokenIds, rollout, _parent.Padding, seed);
    }

    /// <summary>What the contexts leave for a prompt.</summary>
    public int MaxPromptTokens { get; }

    /// <param name="prompts">To be answered.</param>
    /// <param name="stop">Looked at between prompts.</param>
    /// <exception cref="InvalidDataException">A prompt is too long; the message names file and line.</exception>
    public IEnumerable<RankedAnswers> Answer(IEnumerable<Prompt> prompts, CancellationToken stop = default)
    {
        long number = 0;
        foreach (var prompt in prompts)
        {
            stop.ThrowIfCancellationRequested();
            int[] ids = _parent.Template.EncodePrompt(prompt.Messages);
            if (ids.Length > MaxPromptTokens)
            {
                throw new InvalidDataException($"{prompt.Origin}: the prompt has {ids.Length} tokens; the contexts leave room for {MaxPromptTokens} beside the answer.");
            }
            var answers = _sampler.Sample([.. Enumerable.Repeat(new EncodedPrompt(ids, prompt), _samples)], number++);
            double[] scores = _sampler.Scores(answers, _reward);
            yield return new RankedAnswers(prompt, [.. answers.Zip(scores, (answer, score) => (_parent.Tokenizer.Decode(answer.Answer.AnswerIds), score)).OrderByDescending(answer => answer.score)]);
        }
    }

    public void Dispose()
    {
        _policy.Dispose();
        _reward.Dispose();
    }
}
