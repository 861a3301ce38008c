using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;
using TrainServe.Evaluation;
using TrainServe.Evaluation.Tasks;
using TrainServe.Model.Scoring;
using TrainServe.Training.Data.SmallWorld;

namespace TrainServe.Cli.Quickstart;

/// <summary>What alignment changed, told by the trainer's networks: win rate, scores, divergence, and answers to look at.</summary>
/// <param name="Wins">Of the aligned model over the one before.</param>
/// <param name="KlPerAnswer">Nats.</param>
/// <param name="KlPerToken">Nats.</param>
/// <param name="Samples">Where the most likely answers differ, if they do.</param>
internal sealed record AlignmentComparison(TaskResult Wins, double KlPerAnswer, double KlPerToken, IReadOnlyList<AlignedSample> Samples)
{
    private const int Prompts = 240, MaxNewTokens = 48, Shown = 3;

    public static AlignmentComparison Of(ModelPackage before, ModelPackage after, ModelPackage judge, IReadOnlyList<EvaluationRecord> questions, ulong seed, CancellationToken stop)
    {
        var tokenizer = after.LoadTokenizer();
        var template = after.LoadChatTemplate(tokenizer);
        using TorchLanguageScorer ours = new(after), theirs = new(before);
        using var scorer = new TorchRewardScorer(judge);
        // Questions are sorted by family.
        var asked = Enumerable.Range(0, Math.Min(Prompts, questions.Count)).Select(place => questions[(int)((long)place * questions.Count / Math.Min(Prompts, questions.Count))]).ToList();
        var prompts = asked.Select(question => new Prompt([ChatMessage.User(question.Prompt)], null, default)).ToList();
        var sampling = new SamplingParameters { Temperature = 1, Seed = seed };
        var wins = WinRateTask.Run(prompts, ours, theirs, scorer, tokenizer, template, new GenerationSettings(MaxNewTokens, sampling), stop);
        var (answer, token) = Divergence(ours, theirs, [.. prompts.Select(prompt => template.EncodePrompt(prompt.Messages))], template, sampling, stop);
        return new AlignmentComparison(wins, answer, token, Differences(ours, theirs, questions, tokenizer, template, stop));
    }

    // The mean of log(p after / p before) over answers of the model after: an unbiased estimate of the divergence.
    private static (double Answer, double Token) Divergence(TorchLanguageScorer ours, TorchLanguageScorer theirs, int[][] prompts, ChatTemplate template, SamplingParameters sampling, CancellationToken stop)
    {
        int[] stops = [.. template.StopTokenIds];
        var answers = ours.Generate(prompts, MaxNewTokens, sampling, stops, stop);
        // The token that ends an answer was drawn too, unless the answer was cut.
        var requests = prompts.Zip(answers, (prompt, ids) => new ScoringRequest(prompt, ids.Length < MaxNewTokens ? [.. ids, stops[0]] : ids)).ToList();
        double[] differences = [.. ours.Score(requests, stop).Zip(theirs.Score(requests, stop), (one, other) => one.Sum - other.Sum)];
        return (differences.Average(), differences.Sum() / requests.Sum(request => request.Continuation.Length));
    }

    private static List<AlignedSample> Differences(TorchLanguageScorer ours, TorchLanguageScorer theirs, IReadOnlyList<EvaluationRecord> questions, TextTokenizer tokenizer, ChatTemplate template, CancellationToken stop)
    {
        var some = questions.GroupBy(question => question.Family, StringComparer.Ordinal).SelectMany(family => family.Take(2)).ToList();
        int[][] ids = [.. some.Select(question => template.EncodePrompt([ChatMessage.User(question.Prompt)]))];
        string[] Answers(TorchLanguageScorer model) => [.. model.Generate(ids, MaxNewTokens, SamplingParameters.Greedy, [.. template.StopTokenIds], stop).Select(answer => tokenizer.Decode(answer).Trim())];
        string[] before = Answers(theirs), after = Answers(ours);
        return [.. some.Select((question, place) => new AlignedSample(question.Prompt, before[place], after[place], question.Answers)).OrderBy(sample => sample.Before == sample.After).Take(Shown)];
    }
}
