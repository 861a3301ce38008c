using TorchSharp;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Model;
using TrainServe.Model.Generation;
using TrainServe.Training.Alignment;
using TrainServe.Training.Data;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;

namespace TrainServe.Training.Reinforcement;

// B answers, N tokens of all answers together.

/// <summary>Samples answers from the policy and asks models what they say of them.</summary>
internal sealed class RolloutSampler
{
    private readonly Transformer _policy;
    private readonly TextGenerator _generator;
    private readonly IReadOnlyList<int> _stops;
    private readonly RolloutSection _settings;
    private readonly int _padding;
    private readonly ulong _seed;

    public RolloutSampler(Transformer policy, IReadOnlyList<int> stops, RolloutSection settings, int padding, ulong seed)
    {
        (_policy, _stops, _settings, _padding, _seed) = (policy, stops, settings, padding, seed);
        _generator = new TextGenerator(policy);
    }

    /// <summary>An answer to each prompt; a prompt that is there twice gets two answers.</summary>
    /// <param name="prompts">At least one.</param>
    /// <param name="step">Decides, with the seed, what is drawn.</param>
    /// <remarks>An answer ends with its first stop token: what would follow is never there.</remarks>
    public IReadOnlyList<Experience> Sample(IReadOnlyList<EncodedPrompt> prompts, long step)
    {
        ulong seed = new PhiloxRandom(_seed, RandomStreams.Of(RandomPurpose.Rollout, step)).NextUInt64();
        var sampling = new SamplingParameters { Temperature = _settings.Temperature, Seed = seed };
        var sequences = _generator.GenerateBatch([.. prompts.Select(prompt => prompt.Ids)], _settings.MaxNewTokens, sampling, _stops);
        return [.. prompts.Zip(sequences, (prompt, sequence) => new Experience(prompt, new Answer([.. prompt.Ids, .. sequence.Ids], prompt.Ids.Length))
        {
            IsEnded = sequence.Stopped,
            SamplerLogProbs = sequence.LogProbs,
        })];
    }

    /// <summary>Log-probabilities of the answers' tokens under a model, at the rollout's temperature.</summary>
    public void AddLogProbs(IReadOnlyList<Experience> experiences, Transformer model, Action<Experience, float[]> keep) =>
        ForEachToken(experiences, rows => AnswerTensors.LogProbs(model, rows, _padding, _settings.Temperature).LogProbsN, keep);

    /// <summary>A critic's values before the answers' tokens.</summary>
    public void AddValues(IReadOnlyList<Experience> experiences, Transformer critic) =>
        ForEachToken(experiences, rows => AnswerTensors.Values(critic, rows, _padding), (experience, values) => experience.Values = values);

    /// <summary>A reward model's scores of the answers, as it gives them.</summary>
    public double[] Scores(IReadOnlyList<Experience> experiences, Transformer rewardModel) => ScoresOf([.. experiences.Select(experience => experience.Answer)], rewardModel, _settings.MicroBatchRows, _padding);

    /// <summary>A reward model's scores of answers.</summary>
    public static double[] ScoresOf(IReadOnlyList<Answer> answers, Transformer rewardModel, int rows, int padding)
    {
        var scores = new double[answers.Count];
        using var noGradient = no_grad();
        foreach (int[] micro in ByLength(answers.Select(answer => answer.Ids.Length)).Chunk(rows))
        {
            using var scope = NewDisposeScope();
            float[] found = AnswerTensors.Scores(rewardModel, [.. micro.Select(row => answers[row])], padding).cpu().data<float>().ToArray();
            for (int i = 0; i < micro.Length; i++)
            {
                scores[micro[i]] = found[i];
            }
        }
        return scores;
    }

    private void ForEachToken(IReadOnlyList<Experience> experiences, Func<Answer[], Tensor> compute, Action<Experience, float[]> keep)
    {
        using var noGradient = no_grad();
        foreach (int[] micro in ByLength(experiences.Select(experience => experience.Answer.Ids.Length)).Chunk(_settings.MicroBatchRows))
        {
            using var scope = NewDisposeScope();
            float[] found = compute([.. micro.Select(row => experiences[row].Answer)]).cpu().data<float>().ToArray();
            int start = 0;
            foreach (int row in micro)
            {
                int length = experiences[row].Answer.Length;
                keep(experiences[row], found[start..(start + length)]);
                start += length;
            }
        }
    }

    // Answers of like length go together: less padding.
    private static int[] ByLength(IEnumerable<int> lengths) => [.. lengths.Select((length, row) => (length, row)).OrderBy(pair => pair.length).Select(pair => pair.row)];
}
