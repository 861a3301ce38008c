using System.Diagnostics;
using System.Globalization;
using TrainServe.Cli.Display;
using TrainServe.Core;
using TrainServe.Core.Data;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Model;
using TrainServe.Publishing;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data.SmallWorld;
using TrainServe.Training.FineTuning;
using TrainServe.Training.Loops;
using TrainServe.Training.Pretraining;
using TrainServe.Training.Tokenization;

namespace TrainServe.Cli.Quickstart;

/// <summary>The whole road in one command: data, tokenizer, pretraining, fine-tuning, export, evaluation. Each stage writes a directory, and is not done again when the road is resumed.</summary>
/// <param name="plan">What is done.</param>
/// <param name="output">The directory of it all.</param>
/// <param name="say">Is told each stage and what came out.</param>
public sealed class QuickstartRun(QuickstartPlan plan, string output, Action<string> say)
{
    private const string DataStage = "data", TokenizerStage = "tokenizer", RecallStage = "recall", PretrainStage = "pretrain", SftStage = "sft", ExportStage = "export", EvaluateStage = "evaluate";
    private static readonly string[] OwnQuestions = ["Once upon a time", "The", "It was"];
    private QuickstartReport _report = new() { Model = Path.GetFullPath(Path.Combine(output, "models", "quickstart")), Minutes = plan.Minutes, Seed = plan.Seed, Data = plan.Data, Align = plan.Align };

    private string ReportPath => Path.Combine(output, QuickstartReport.FileName);
    private string DataDirectory => Path.Combine(output, "data");
    private string TokenizerDirectory => Path.Combine(output, "tokenizer");
    private string RecallDirectory => Path.Combine(output, "recall");
    private string PretrainDirectory => Path.Combine(output, "pretrain");
    private bool IsSmallWorld => plan.Data is null;
    private string PretrainingText => plan.Data ?? Path.Combine(DataDirectory, SmallWorldWriter.SpelledLists);

    /// <summary>Runs what is left of it.</summary>
    /// <param name="resume">Whether to go on with what is there.</param>
    /// <param name="stop">Stops after saving.</param>
    /// <returns>The report; null when it was stopped.</returns>
    /// <exception cref="IOException">There is a quickstart already, or, to be resumed, none; or the disk is full.</exception>
    /// <exception cref="RecipeException">The quickstart that is there was begun with other options.</exception>
    public async Task<QuickstartReport?> RunAsync(bool resume, CancellationToken stop)
    {
        Begin(resume);
        using var runLock = RunLock.Take(output);
        TorchRuntime.Initialize();
        try
        {
            Do(DataStage, IsSmallWorld ? "invents small worlds, and writes stories, conversations and an evaluation about them" : "reads your text", () => MakeData(stop));
            Do(TokenizerStage, "learns which pieces of words to read and write", () => TrainTokenizer(stop));
            if ((IsSmallWorld && !Train(RecallStage, "learns to look back, on lists of words", RecallDirectory, (options, work, display) => PretrainingLoop.Prepare(options with { Data = [$"lists={Path.Combine(DataDirectory, SmallWorldWriter.Lists)}"], Tokenizer = TokenizerDirectory }, plan.Recall, work, display, TimeProvider.System, stop), stop))
                || !Train(PretrainStage, IsSmallWorld ? "learns to look back from one sentence to another" : "learns to go on with a text", PretrainDirectory, (options, work, display) => PretrainingLoop.Prepare(options with { Data = [$"text={PretrainingText}"], Tokenizer = TokenizerDirectory, Model = IsSmallWorld ? RecallDirectory : null }, plan.Pretraining, work, display, TimeProvider.System, stop), stop)
                || !Train(SftStage, "learns to answer", _report.Model, (options, work, display) => SftLoop.Prepare(options with { Data = Conversations, Model = PretrainDirectory }, plan.FineTuning, work, display, TimeProvider.System, stop), stop))
            {
                return null;
            }
            Do(ExportStage, "becomes an ONNX graph, which is proven to compute the same", Export);
            await DoAsync(EvaluateStage, "is asked about worlds that it never heard of", () => EvaluateAsync(stop));
            if (plan.Alignment is { } alignment && !await AlignAsync(new AlignmentStages(alignment, output, DataDirectory, _report.Model), stop))
            {
                return null;
            }
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        catch (IOException error) when (IsDiskFull(error))
        {
            throw new IOException($"{error.Message.TrimEnd('.')}. Make room, then go on with --resume; what is done is kept.", error);
        }
        return _report;
    }

    // ENOSPC and ERROR_DISK_FULL. A trainer's checkpoint says by itself what to do.
    private static bool IsDiskFull(IOException error) => error.HResult is 28 or unchecked((int)0x80070070);

    private string[] Conversations => plan.Data is { } own ? [$"talk={own}"]
        : [$"talk={Path.Combine(DataDirectory, SmallWorldWriter.Conversations)}", $"drills={Path.Combine(DataDirectory, SmallWorldWriter.Drills)}"];

    private void Begin(bool resume)
    {
        if (!resume)
        {
            if (Directory.Exists(output) && Directory.EnumerateFileSystemEntries(output).Any())
            {
                throw new IOException(File.Exists(ReportPath) ? $"{output} already holds a quickstart; add --resume to go on with it, or choose another directory with --output." : $"{output} is not empty; choose another directory with --output.");
            }
            Directory.CreateDirectory(output);
            Save();
            return;
        }
        if (!File.Exists(ReportPath))
        {
            throw new DirectoryNotFoundException($"{output} holds no quickstart that could be resumed; leave --resume out to begin one.");
        }
        var before = JsonFile.Read<QuickstartReport>(ReportPath, JsonFile.SnakeCase);
        if ((before.Minutes, before.Seed, before.Data) != (_report.Minutes, _report.Seed, _report.Data))
        {
            throw new RecipeException(string.Create(CultureInfo.InvariantCulture, $"{output} was begun with {before.Minutes} minutes, seed {before.Seed} and {before.Data ?? "the small world"}; resume it with the same, or choose another directory with --output."));
        }
        if (before.Align is { } method && method != plan.Align)
        {
            throw new RecipeException($"{output} was begun with --align {method.ToString().ToLowerInvariant()}; resume it with the same, or choose another directory with --output.");
        }
        // A quickstart that is done can be aligned later.
        _report = before with { Model = _report.Model, Align = plan.Align };
    }

    private void MakeData(CancellationToken stop)
    {
        if (plan.Data is { } own)
        {
            // Here rather than after the pretraining: a text of which nothing can be learned fails at once.
            BadRecords texts = BadRecords.Lenient(), talks = BadRecords.Lenient();
            say($"  {DocumentReader.Read([own], texts).Count():N0} texts, {ConversationReader.ReadAll([own], talks).Count:N0} of them with an opening to go on from");
            return;
        }
        Delete(DataDirectory);
        var counts = SmallWorldWriter.Write(DataDirectory, plan.WorldSize, plan.Seed, stop);
        say($"  {counts[SmallWorldWriter.Stories]:N0} stories, {counts[SmallWorldWriter.Conversations]:N0} conversations, {counts[SmallWorldWriter.Evaluation]:N0} questions about unseen worlds");
        say($"  for example: {new SmallWorldGenerator(plan.Seed).Evaluation(Training.Data.SmallWorld.Questions.QuestionFamily.WhereHeld, 0).Prompt}");
    }

    private void TrainTokenizer(CancellationToken stop)
    {
        Delete(TokenizerDirectory);
        string[] texts = IsSmallWorld ? [Path.Combine(DataDirectory, SmallWorldWriter.Stories), Path.Combine(DataDirectory, SmallWorldWriter.Lists)] : [PretrainingText];
        var vocabulary = BpeTrainer.Train(DocumentReader.Read(texts, BadRecords.Lenient()), new BpeTrainerConfig { VocabSize = plan.VocabSize }, cancellationToken: stop);
        vocabulary.Save(TokenizerDirectory);
        say($"  {vocabulary.VocabSize:N0} tokens, {vocabulary.BytesPerToken:N2} bytes of text each");
    }

    private async Task<bool> AlignAsync(AlignmentStages stages, CancellationToken stop)
    {
        if (!stages.Train((stage, what, directory, prepare) => Train(stage, what, directory, prepare, stop), stop))
        {
            return false;
        }
        Do(AlignmentStages.ExportStage, "becomes an ONNX graph too", stages.Export);
        await DoAsync(AlignmentStages.CompareStage, "is asked the same questions again", async () => _report = _report with { Alignment = await stages.CompareAsync(_report.Families!, stop) });
        foreach (string line in AlignmentText.Of(_report.Alignment!))
        {
            say(line);
        }
        return true;
    }

    // A stage of training resumes by itself from its checkpoint.
    private bool Train(string stage, string what, string directory, Func<RunOptions, string, ITrainingDisplay, ITrainingRun> prepare, CancellationToken stop)
    {
        if (_report.IsDone(stage))
        {
            return true;
        }
        Announce(stage, what);
        var options = new RunOptions { RecipePath = $"quickstart-{stage}", Output = directory, Resume = RunLock.Exists(directory) };
        using var runLock = RunLock.Take(directory);
        TrainingOutcome? outcome = null;
        TrainingDisplays.Run(display =>
        {
            using var run = prepare(options, Path.Combine(directory, "prepared"), display);
            run.Plan.RequireMemory(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
            display.Note($"  {run.Plan.Model.ParameterCount:N0} parameters, {run.Plan.TotalSteps:N0} steps of {run.Plan.BatchRows * run.Plan.Columns:N0} tokens");
            outcome = run.Run(stop).Outcome;
            return ExitCodes.Done;
        });
        var state = outcome!.State;
        if (outcome.End == TrainingEnd.Interrupted)
        {
            return false;
        }
        Add(new StageReport(stage, state.Seconds, state.TrainLoss, state.Best.BestLoss, state.Step, state.LearnedTokens));
        say(string.Create(CultureInfo.InvariantCulture, $"  loss {state.Best.BestLoss ?? state.TrainLoss:F3} after {state.LearnedTokens:N0} tokens in {PlanText.Duration(TimeSpan.FromSeconds(state.Seconds))}"));
        return true;
    }

    private void Export()
    {
        var certificate = Publisher.Publish(_report.Model, ExportPrecision.Fp32, TimeProvider.System);
        double error = new[] { certificate.TeacherForcedError, certificate.ChunkedError, certificate.TokenByTokenError, certificate.BatchedError }.Max();
        _report = _report with { Parity = new ParityReport(certificate.Precision, error, certificate.Tolerance, certificate.GreedyEqual, certificate.GreedyPrompts) };
        say($"  logits within {error:G3} of TorchSharp's, {certificate.GreedyEqual} of {certificate.GreedyPrompts} continuations equal");
    }

    private async Task EvaluateAsync(CancellationToken stop)
    {
        await using var engine = new EngineAnswerer(ModelPackage.OpenVerified(_report.Model), ExportPrecision.Fp32.Name);
        if (!IsSmallWorld)
        {
            var texts = await engine.AnswerAsync(OwnQuestions, stop);
            _report = _report with { Samples = [.. OwnQuestions.Zip(texts, (prompt, text) => new SampleAnswer(prompt, text))] };
            return;
        }
        var questions = SmallWorldEvaluationReader.Read(Path.Combine(DataDirectory, SmallWorldWriter.Evaluation));
        var families = await SmallWorldExam.RunAsync(questions, engine.AnswerAsync, stop);
        // One question of each of some families.
        var samples = questions.DistinctBy(question => question.Family, StringComparer.Ordinal).ToList();
        var answers = await engine.AnswerAsync([.. samples.Select(sample => sample.Prompt)], stop);
        double Rate(Func<FamilyScore, double> rate) => SmallWorldExam.OverStories(families.Values, rate);
        _report = _report with
        {
            Families = families,
            SmallWorldAccuracy = Rate(family => family.Score),
            Baselines = new Dictionary<string, double>(StringComparer.Ordinal)
            {
                ["no_story"] = Rate(family => family.BaselineNoStory ?? 0),
                ["majority"] = Rate(family => family.BaselineMajority),
                ["last_mention"] = Rate(family => family.BaselineLastMention),
            },
            Samples = [.. samples.Zip(answers, (sample, answer) => new SampleAnswer(sample.Prompt, answer, sample.Answers))],
        };
        foreach (string line in QuickstartText.Exam(_report))
        {
            say(line);
        }
    }

    private void Do(string stage, string what, Action work) => DoAsync(stage, what, () =>
    {
        work();
        return Task.CompletedTask;
    }).GetAwaiter().GetResult();

    private async Task DoAsync(string stage, string what, Func<Task> work)
    {
        if (_report.IsDone(stage))
        {
            return;
        }
        Announce(stage, what);
        var clock = Stopwatch.StartNew();
        await work();
        Add(new StageReport(stage, clock.Elapsed.TotalSeconds));
    }

    private void Announce(string stage, string what) => say($"{stage}: {what}");

    private void Add(StageReport stage)
    {
        _report = _report with { Stages = [.. _report.Stages, stage] };
        Save();
    }

    private void Save() => JsonFile.Write(ReportPath, _report, JsonFile.SnakeCase);

    private static void Delete(string directory)
    {
        if (Directory.Exists(directory))
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}
