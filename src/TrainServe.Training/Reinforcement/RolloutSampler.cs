using TorchSharp;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Model;
using TrainServe.Model.Generation;
using TrainServe.Training.Alignment;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;

namespace TrainServe.Training.Reinforcement;

// B answers, N tokens of all answers together.

/// <summary>Samples answers from the policy and asks models what they say of them.</summary>
/// <remarks>Several processes each take a part of the answers, draw what one process would draw for them, and tell the others: afterwards all know all.</remarks>
internal sealed class RolloutSampler
{
    private readonly TextGenerator _generator;
    private readonly IReadOnlyList<int> _stops;
    private readonly RolloutSection _settings;
    private readonly int _padding;
    private readonly ulong _seed;
    private readonly IProcessGroup _processes;

    /// <param name="policy">Answers.</param>
    /// <param name="stops">Tokens that end an answer.</param>
    /// <param name="settings">Length, temperature, rows at once.</param>
    /// <param name="padding">Any token of the vocabulary.</param>
    /// <param name="seed">Of the run.</param>
    /// <param name="processes">That share the work; this one alone when null.</param>
    public RolloutSampler(Transformer policy, IReadOnlyList<int> stops, RolloutSection settings, int padding, ulong seed, IProcessGroup? processes = null)
    {
        (_stops, _settings, _padding, _seed, _processes) = (stops, settings, padding, seed, processes ?? SingleProcess.Instance);
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
        var found = new double[prompts.Count][];
        var (first, count) = SharedRows.Part(_processes, prompts.Count).GetOffsetAndLength(prompts.Count);
        if (count > 0)
        {
            var sequences = _generator.GenerateBatch([.. prompts.Skip(first).Take(count).Select(prompt => prompt.Ids)], _settings.MaxNewTokens, sampling, _stops, first);
            for (int i = 0; i < count; i++)
            {
                found[first + i] = Numbers(sequences[i]);
            }
        }
        return [.. prompts.Zip(SharedRows.Complete(_processes, found), OfNumbers)];
    }

    // Whether it ended, its tokens, and their log-probabilities.
    private static double[] Numbers(GeneratedSequence sequence) => [sequence.Stopped ? 1 : 0, .. sequence.Ids.Select(id => (double)id), .. sequence.LogProbs.Select(value => (double)value)];

    private static Experience OfNumbers(EncodedPrompt prompt, double[] numbers)
    {
        int length = numbers.Length / 2;
        return new Experience(prompt, new Answer([.. prompt.Ids, .. numbers[1..(length + 1)].Select(id => (int)id)], prompt.Ids.Length))
        {
            IsEnded = numbers[0] > 0,
            SamplerLogProbs = [.. numbers[(length + 1)..].Select(value => (float)value)],
        };
    }

    /// <summary>Log-probabilities of the answers' tokens under a model, at the rollout's temperature.</summary>
    public void AddLogProbs(IReadOnlyList<Experience> experiences, Transformer model, Action<Experience, float[]> keep) =>
        ForEachToken(experiences, rows => AnswerTensors.LogProbs(model, rows, _padding, _settings.Temperature).LogProbsN, keep);

    /// <summary>A critic's values before the answers' tokens.</summary>
    public void AddValues(IReadOnlyList<Experience> experiences, Transformer critic) =>
        ForEachToken(experiences, rows => AnswerTensors.Values(critic, rows, _padding), (experience, values) => experience.Values = values);

    /// <summary>A reward model's scores of the answers, as it gives them.</summary>
    /// <exception cref="InvalidDataException">A score is no finite number: nothing can be learned from it. The message names the prompt's file and line.</exception>
    public double[] Scores(IReadOnlyList<Experience> experiences, Transformer rewardModel)
    {
        var found = new double[experiences.Count][];
        var (first, count) = SharedRows.Part(_processes, experiences.Count).GetOffsetAndLength(experiences.Count);
        double[] own = ScoresOf([.. experiences.Skip(first).Take(count).Select(experience => experience.Answer)], rewardModel, _settings.MicroBatchRows, _padding);
        for (int i = 0; i < count; i++)
        {
            found[first + i] = [own[i]];
        }
        // All processes know all scores, so that all of them stop.
        return [.. SharedRows.Complete(_processes, found).Zip(experiences, (score, experience) => double.IsFinite(score[0]) ? score[0]
            : throw new InvalidDataException($"{experience.Prompt.Prompt.Origin}: the reward model gives {score[0]} to an answer, from which nothing can be learned; its weights are damaged or too large."))];
    }

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
        var values = new double[experiences.Count][];
        var (first, count) = SharedRows.Part(_processes, experiences.Count).GetOffsetAndLength(experiences.Count);
        foreach (int[] micro in ByLength(experiences.Skip(first).Take(count).Select(experience => experience.Answer.Ids.Length)).Chunk(_settings.MicroBatchRows))
        {
            using var scope = NewDisposeScope();
            float[] found = compute([.. micro.Select(row => experiences[first + row].Answer)]).cpu().data<float>().ToArray();
            int start = 0;
            foreach (int row in micro)
            {
                int length = experiences[first + row].Answer.Length;
                values[first + row] = [.. found[start..(start + length)].Select(value => (double)value)];
                start += length;
            }
        }
        foreach (var (experience, all) in experiences.Zip(SharedRows.Complete(_processes, values)))
        {
            keep(experience, [.. all.Select(value => (float)value)]);
        }
    }

    // Answers of like length go together: less padding.
    private static int[] ByLength(IEnumerable<int> lengths) => [.. lengths.Select((length, row) => (length, row)).OrderBy(pair => pair.length).Select(pair => pair.row)];
}
