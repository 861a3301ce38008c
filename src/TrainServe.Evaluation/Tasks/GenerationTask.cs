using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;
using TrainServe.Evaluation.Metrics;

namespace TrainServe.Evaluation.Tasks;

/// <summary>When an answer counts as right.</summary>
public enum AnswerMatch
{
    /// <summary>It is the reference, but for white space around and between words.</summary>
    Exact,

    /// <summary>Its last number is the reference's, which stands behind #### if that is there, as in GSM8K.</summary>
    Number,
}

/// <summary>What a generation is told.</summary>
public sealed record GenerationSettings(int MaxNewTokens, SamplingParameters Sampling);

/// <summary>The model answers, and the answers are compared with references.</summary>
public static class GenerationTask
{
    private const int Batch = 16, Samples = 3;

    public static TaskResult Run(IReadOnlyList<Prompt> prompts, AnswerMatch match, ILanguageScorer scorer, TextTokenizer tokenizer, ChatTemplate template, GenerationSettings settings, CancellationToken cancellationToken = default)
    {
        string[] answers = Answers(prompts, scorer, tokenizer, template, settings, cancellationToken);
        int right = 0;
        for (int i = 0; i < answers.Length; i++)
        {
            right += IsRight(answers[i], prompts[i].Answer ?? throw new InvalidDataException($"{prompts[i].Origin}: the record has no reference answer."), match, prompts[i].Origin) ? 1 : 0;
        }
        return new TaskResult
        {
            Kind = "generation",
            Count = prompts.Count,
            Metrics = new Dictionary<string, double>(StringComparer.Ordinal) { ["exact_match"] = (double)right / prompts.Count, ["empty"] = (double)answers.Count(string.IsNullOrWhiteSpace) / prompts.Count },
            Intervals = new Dictionary<string, Interval>(StringComparer.Ordinal) { ["exact_match"] = Interval.Wilson(right, prompts.Count) },
            Samples = [.. prompts.Zip(answers, (prompt, answer) => $"{prompt.Messages[^1].Content} >>> {answer} (expected {prompt.Answer})").Take(Samples)],
        };
    }

    /// <summary>The answers to prompts, in their order.</summary>
    public static string[] Answers(IReadOnlyList<Prompt> prompts, ILanguageScorer scorer, TextTokenizer tokenizer, ChatTemplate template, GenerationSettings settings, CancellationToken cancellationToken = default) =>
        [.. AnswerIds(prompts, scorer, template, settings, cancellationToken).Select(ids => tokenizer.Decode(ids))];

    /// <summary>The answers' tokens; batch after batch draws with other numbers.</summary>
    internal static IEnumerable<int[]> AnswerIds(IReadOnlyList<Prompt> prompts, ILanguageScorer scorer, ChatTemplate template, GenerationSettings settings, CancellationToken cancellationToken)
    {
        ulong number = 0;
        foreach (var batch in prompts.Chunk(Batch))
        {
            int[][] ids = [.. batch.Select(prompt => template.EncodePrompt(prompt.Messages))];
            for (int i = 0; i < ids.Length; i++)
            {
                if (ids[i].Length + settings.MaxNewTokens > scorer.ContextLength)
                {
                    throw new InvalidDataException($"{batch[i].Origin}: the prompt has {ids[i].Length} tokens; with an answer of {settings.MaxNewTokens} it does not fit the context of {scorer.ContextLength}.");
                }
            }
            var sampling = settings.Sampling with { Seed = unchecked((settings.Sampling.Seed ?? 0) + number++ * 0x9E3779B97F4A7C15) };
            foreach (int[] answer in scorer.Generate(ids, settings.MaxNewTokens, sampling, [.. template.StopTokenIds], cancellationToken))
            {
                yield return answer;
            }
        }
    }

    internal static bool IsRight(string answer, string reference, AnswerMatch match, RecordOrigin origin) => match switch
    {
        AnswerMatch.Exact => Words(answer) == Words(reference),
        AnswerMatch.Number => NumberText.Last(answer) == (NumberText.Last(reference) ?? throw new InvalidDataException($"{origin}: the reference answer holds no number.")),
        _ => throw new ArgumentOutOfRangeException(nameof(match), match, "Not a way to compare."),
    };

    private static string Words(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
