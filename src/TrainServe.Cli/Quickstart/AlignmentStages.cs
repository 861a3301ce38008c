using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Evaluation.Tasks;
using TrainServe.Export;
using TrainServe.Model.Scoring;
using TrainServe.Publishing;
using TrainServe.Training.Data;
using TrainServe.Training.Data.SmallWorld;
using TrainServe.Training.Loops;
using TrainServe.Training.PreferenceOptimization;
using TrainServe.Training.Reinforcement;
using TrainServe.Training.RewardModeling;

namespace TrainServe.Cli.Quickstart;

/// <summary>The stages that follow the quickstart's own: reward model, judge, PPO or DPO, export, and the comparison of before and after.</summary>
/// <param name="plan">What is done.</param>
/// <param name="output">The quickstart's directory.</param>
/// <param name="data">Its data.</param>
/// <param name="model">The fine-tuned model.</param>
internal sealed class AlignmentStages(AlignmentPlan plan, string output, string data, string model)
{
    public const string RewardStage = "reward", JudgeStage = "judge", ExportStage = "align_export", CompareStage = "align_evaluate";
    private const int PairsAsked = 400;

    /// <summary>Trains a stage into a directory; false when it was stopped.</summary>
    public delegate bool Trainer(string stage, string what, string directory, Func<RunOptions, string, ITrainingDisplay, ITrainingRun> prepare);

    /// <summary>The aligned model's directory, beside the other one: a server offers both.</summary>
    public string Aligned => model + "-aligned";

    private string AlignStage => plan.Method == AlignmentMethod.Ppo ? "ppo" : "dpo";
    private string Preferences => Path.Combine(data, SmallWorldWriter.Preferences);
    private string RewardDirectory => Path.Combine(output, RewardStage);
    private string JudgeDirectory => Path.Combine(output, JudgeStage);

    /// <summary>Reward model, judge and policy.</summary>
    /// <returns>False when it was stopped.</returns>
    public bool Train(Trainer train, CancellationToken stop)
    {
        RunOptions With(RunOptions options) => options with { Data = [$"preferences={Preferences}"], Model = model };
        return train(RewardStage, "learns which of two answers is better", RewardDirectory, (options, _, display) => RewardTrainer.Prepare(With(options), plan.Reward, display, TimeProvider.System, stop))
            && train(JudgeStage, "another one learns the same from other questions, to judge at the end", JudgeDirectory, (options, _, display) => RewardTrainer.Prepare(With(options), plan.Judge, display, TimeProvider.System, stop))
            && train(AlignStage, plan.Method == AlignmentMethod.Ppo ? "tries answers, and learns from what the reward model says of them" : "learns from the pairs which answers to prefer", Aligned, (options, work, display) => plan.Method == AlignmentMethod.Ppo
                ? PpoTrainer.Prepare(With(options) with { RewardModel = RewardDirectory }, plan.Ppo, display, TimeProvider.System, stop)
                : DpoTrainer.Prepare(With(options), plan.Dpo, work, display, TimeProvider.System, stop));
    }

    /// <summary>Exports the aligned model.</summary>
    public void Export() => Publisher.Publish(Aligned, ExportPrecision.Fp32, TimeProvider.System);

    /// <summary>Asks both models.</summary>
    /// <param name="before">What the exam found before.</param>
    /// <param name="stop">Stops it.</param>
    public async Task<AlignmentReport> CompareAsync(IReadOnlyDictionary<string, FamilyScore> before, CancellationToken stop)
    {
        var questions = SmallWorldEvaluationReader.Read(Path.Combine(data, SmallWorldWriter.Evaluation));
        var aligned = ModelPackage.OpenVerified(Aligned);
        IReadOnlyDictionary<string, FamilyScore> after;
        await using (var engine = new EngineAnswerer(aligned, ExportPrecision.Fp32.Name))
        {
            after = await SmallWorldExam.RunAsync(questions, engine.AnswerAsync, stop);
        }
        var found = AlignmentComparison.Of(ModelPackage.OpenVerified(model), aligned, ModelPackage.OpenVerified(JudgeDirectory), questions, plan.Seed, stop);
        return new AlignmentReport
        {
            Model = Aligned,
            Method = plan.Method,
            RewardAccuracy = RewardAccuracy(stop),
            Before = AlignmentScores.Of(before, found.Wins.Metrics["score_against"], found.Wins.Metrics["length_against"]),
            After = AlignmentScores.Of(after, found.Wins.Metrics["score"], found.Wins.Metrics["length"]),
            WinRate = found.Wins.Metrics["win_rate"],
            WinRateInterval = found.Wins.Intervals["win_rate"],
            KlPerAnswer = found.KlPerAnswer,
            KlPerToken = found.KlPerToken,
            Samples = found.Samples,
        };
    }

    private double RewardAccuracy(CancellationToken stop)
    {
        var package = ModelPackage.OpenVerified(RewardDirectory);
        var judged = plan.Judge.Data;
        var pairs = PreferenceReader.Read(Preferences, BadRecords.Strict()).Where(pair => PromptSplit.IsInPart(pair.Prompt, judged.PartFrom, judged.PartTo)).Take(PairsAsked).ToList();
        using var scorer = new TorchRewardScorer(package);
        return PreferenceTask.Run(pairs, scorer, package.LoadChatTemplate(package.LoadTokenizer()), cancellationToken: stop).Metrics["accuracy"];
    }
}
