using System.Text.Json;
using TrainServe.Core;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;
using TrainServe.Evaluation;
using TrainServe.Evaluation.Baselines;
using TrainServe.Evaluation.Tasks;
using TrainServe.Inference.Scoring;
using TrainServe.Model.Scoring;
using TrainServe.Training.Data.SmallWorld;

namespace TrainServe.Cli.Evaluating;

/// <summary>What is evaluated, and how.</summary>
internal sealed record EvaluationOptions
{
    public required string Model { get; init; }
    public string? Data { get; init; }

    /// <summary>Of the export; null for the trainer's network.</summary>
    public string? Precision { get; init; }
    public int Limit { get; init; }
    public AnswerMatch Match { get; init; }
    public string? Against { get; init; }
    public string? Reward { get; init; }

    /// <summary>Pairs that a model of words learns from, to be compared with; null compares with none.</summary>
    public string? Baseline { get; init; }

    /// <summary>What the model was pretrained on; null asks nothing of it.</summary>
    public IReadOnlyList<string> Seen { get; init; } = [];

    /// <summary>Where the finding on each pair is written.</summary>
    public string? Findings { get; init; }

    /// <summary>Whether records that cannot be used are counted and left out.</summary>
    public bool SkipBadRecords { get; init; }
    public int MaxTokens { get; init; }
    public float? Temperature { get; init; }
    public ulong Seed { get; init; }
}

/// <summary>One model, loaded once, and the tasks that it is given.</summary>
internal sealed class EvaluationSession : IDisposable
{
    private static readonly string[] Kinds = ["choice", "text", "generate", "preference", "win", "refusal", SmallWorldTask.Kind], Endings = [".jsonl", ".json", ".txt"];
    private readonly EvaluationOptions _options;
    private readonly ModelPackage _package;
    private readonly TextTokenizer _tokenizer;
    private readonly ChatTemplate _template;
    private ILanguageScorer? _scorer;
    private SeenTexts? _seen;
    private bool _hasFindings;

    public EvaluationSession(EvaluationOptions options)
    {
        _options = options;
        _package = ModelPackage.OpenCheckedIfListed(options.Model);
        _tokenizer = _package.LoadTokenizer();
        _template = _package.LoadChatTemplate(_tokenizer);
    }

    /// <param name="task">A file or a name, perhaps with its kind before a colon.</param>
    /// <param name="stop">Ends it.</param>
    /// <exception cref="RecipeException">There is no such task, or an option that it needs is missing.</exception>
    public (string Name, TaskResult Result) Run(string task, CancellationToken stop)
    {
        string? kind = Kinds.FirstOrDefault(kind => task.StartsWith(kind + ":", StringComparison.Ordinal));
        string path = Find(kind is null ? task : task[(kind.Length + 1)..]);
        kind ??= _package.Config.IsRewardModel ? "preference" : path.Contains(".txt", StringComparison.OrdinalIgnoreCase) ? "text" : "choice";
        return ((kind is "choice" or "text" or "preference" ? "" : kind + ":") + NameOf(path), Run(kind, path, stop));
    }

    public EvaluationReport Report(IReadOnlyDictionary<string, TaskResult> results) => new()
    {
        Model = _package.Name,
        WeightsSha256 = FileHash.OfFile(_package.WeightsPath),
        Backend = _options.Precision is null ? "torch" : $"onnx {_options.Precision}",
        CodeVersion = CodeVersion.Current,
        Tasks = results,
    };

    /// <summary>Adds the results to those that the model's manifest has; a task's newest result stays.</summary>
    public void AddToManifest(EvaluationReport report)
    {
        if (_package.Manifest is null)
        {
            return;
        }
        // As it is now: an export may have added to it meanwhile.
        var manifest = ModelManifest.Read(_package.ManifestPath);
        var evaluations = new Dictionary<string, JsonElement>(manifest.Evaluations ?? new Dictionary<string, JsonElement>(StringComparer.Ordinal), StringComparer.Ordinal);
        foreach (var (name, result) in report.Tasks)
        {
            evaluations[name] = JsonSerializer.SerializeToElement(new { report.Backend, report.CodeVersion, result.Kind, result.Count, result.Metrics, result.Intervals }, JsonFile.SnakeCase);
        }
        (manifest with { Evaluations = evaluations }).Write(_package.ManifestPath);
    }

    public void Dispose() => _scorer?.Dispose();

    private TaskResult Run(string kind, string path, CancellationToken stop)
    {
        if (kind == "preference")
        {
            using var judge = RewardScorer(_package);
            return Preference(path, judge, stop);
        }
        _scorer ??= LanguageScorer(_package);
        var encoding = new PairEncoding(_tokenizer, _package.Config, _scorer.ContextLength);
        return kind switch
        {
            "text" => TextTask.Run(Limited(DocumentReader.Read(path, BadRecords.Strict())), _scorer, _tokenizer, encoding, stop),
            "generate" => GenerationTask.Run(Prompts(path), _options.Match, _scorer, _tokenizer, _template, Settings(0), stop),
            "win" => WinRate(path, _scorer, stop),
            SmallWorldTask.Kind => SmallWorld(path, _scorer, stop),
            "refusal" => RefusalTask.Run(Limited(RefusalReader.Read(path, BadRecords.Strict())), _scorer, _tokenizer, _template, Settings(0), stop),
            _ => ChoiceTask.Run(Limited(EvaluationReader.Read(path, BadRecords.Strict())), _scorer, encoding, stop),
        };
    }

    private TaskResult SmallWorld(string path, ILanguageScorer scorer, CancellationToken stop)
    {
        var settings = Settings(0) with { MaxNewTokens = SmallWorldTask.MaxTokens };
        Task<IReadOnlyList<string>> Answers(IReadOnlyList<string> prompts, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<string>>(
            GenerationTask.Answers([.. prompts.Select(prompt => new Prompt([ChatMessage.User(prompt)], null, default))], scorer, _tokenizer, _template, settings, cancellationToken));
        return SmallWorldTask.RunAsync(Limited(SmallWorldEvaluationReader.Read(path)), Answers, stop).GetAwaiter().GetResult();
    }

    private TaskResult Preference(string path, IRewardScorer judge, CancellationToken stop)
    {
        var bad = Reading();
        var pairs = Limited(PreferenceReader.Read(path, bad));
        var findings = PreferenceTask.Find(pairs, judge, _template, new PreferenceSettings { Source = NameOf(path), Baseline = Words(pairs), Seen = _options.Seen.Count == 0 ? null : _seen ??= new SeenTexts(DocumentReader.Read(_options.Seen, BadRecords.Strict())) }, stop);
        if (_options.Findings is { } file)
        {
            var lines = findings.Select(finding => JsonSerializer.Serialize(finding, JsonFile.SnakeCaseLine));
            if (_hasFindings)
            {
                File.AppendAllLines(file, lines);
            }
            else
            {
                File.WriteAllLines(file, lines);
            }
            _hasFindings = true;
        }
        var result = PreferenceTask.Of(findings, pairs.Count - findings.Count);
        return bad.Skipped == 0 ? result : result with { Metrics = new Dictionary<string, double>(result.Metrics, StringComparer.Ordinal) { ["bad_records"] = bad.Skipped } };
    }

    private BadRecords Reading() => _options.SkipBadRecords ? BadRecords.Lenient() : BadRecords.Strict();

    // Nothing may be learned from the pairs that are asked.
    private NGramPreferenceModel? Words(List<PreferencePair> asked)
    {
        if (_options.Baseline is not { } path)
        {
            return null;
        }
        var prompts = asked.Select(Key).ToHashSet(StringComparer.Ordinal);
        var pairs = PreferenceReader.ReadAll([path], Reading());
        int both = pairs.Count(pair => prompts.Contains(Key(pair)));
        return both == 0 ? NGramPreferenceModel.Train(pairs, _options.Seed)
            : throw new RecipeException($"{both} of the {pairs.Count} pairs of {path} have a prompt that is asked too; what the baseline learns from must be other prompts.");

        static string Key(PreferencePair pair) => string.Join('\n', pair.Prompt.Select(message => message.Content));
    }

    private TaskResult WinRate(string path, ILanguageScorer scorer, CancellationToken stop)
    {
        if (_options.Against is null || _options.Reward is null)
        {
            throw new RecipeException("The task win needs --against DIR, the other model, and --reward DIR, the judge.");
        }
        using var against = LanguageScorer(SameTokenizer(_options.Against));
        using var judge = RewardScorer(SameTokenizer(_options.Reward));
        return WinRateTask.Run(Prompts(path), scorer, against, judge, _tokenizer, _template, Settings(1), stop);
    }

    private ILanguageScorer LanguageScorer(ModelPackage package) => package.Config.IsRewardModel ? throw new RecipeException($"{package.Directory} is a reward model, which gives scores and no tokens; it can do preference tasks only.")
        : _options.Precision is { } precision ? new OnnxLanguageScorer(package, precision) : new TorchLanguageScorer(package);

    private IRewardScorer RewardScorer(ModelPackage package) => !package.Config.IsRewardModel ? throw new RecipeException($"{package.Directory} is no reward model: it has no score.")
        : _options.Precision is { } precision && package.Manifest?.Certificate(precision) is not null ? new OnnxRewardScorer(package, precision) : new TorchRewardScorer(package);

    private ModelPackage SameTokenizer(string directory)
    {
        var package = ModelPackage.OpenCheckedIfListed(directory);
        return package.LoadTokenizer().Sha256 == _tokenizer.Sha256 ? package : throw new InvalidDataException($"{directory} has another tokenizer than {_options.Model}.");
    }

    // Prompts that leave no room for an answer are no questions.
    private List<Prompt> Prompts(string path)
    {
        int room = _package.Config.MaxPositionEmbeddings - _options.MaxTokens;
        var prompts = Limited(PromptReader.Read(path, BadRecords.Strict()).Where(prompt => _template.EncodePrompt(prompt.Messages).Length <= room));
        return prompts.Count > 0 ? prompts : throw new InvalidDataException($"{path} has no prompt that leaves room for {_options.MaxTokens} tokens.");
    }

    private GenerationSettings Settings(float temperature) => new(_options.MaxTokens, new SamplingParameters { Temperature = _options.Temperature ?? temperature, Seed = _options.Seed });

    // Spread over the whole file: files are sorted by phenomenon or subject.
    private List<T> Limited<T>(IEnumerable<T> items)
    {
        List<T> all = [.. items];
        return _options.Limit <= 0 || _options.Limit >= all.Count ? all : [.. Enumerable.Range(0, _options.Limit).Select(place => all[(int)((long)place * all.Count / _options.Limit)])];
    }

    private string Find(string name)
    {
        if (File.Exists(name))
        {
            return name;
        }
        if (_options.Data is not { } directory)
        {
            throw new RecipeException($"{name} is no file; give --data DIR, below which the tasks' files are.");
        }
        var found = DataFiles.Expand([directory]).Where(file => string.Equals(NameOf(file), name, StringComparison.Ordinal)).ToList();
        return found.Count == 1 ? found[0]
            : throw new RecipeException(found.Count == 0 ? $"{directory} holds no file {name}{string.Join('/', Endings)}, nor one of these and .gz." : $"{directory} holds several files called {name}: {string.Join(", ", found)}; give the path.");
    }

    private static string NameOf(string path)
    {
        string name = Path.GetFileName(path);
        name = name.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? name[..^3] : name;
        string? ending = Endings.FirstOrDefault(ending => name.EndsWith(ending, StringComparison.OrdinalIgnoreCase));
        return ending is null ? name : name[..^ending.Length];
    }
}
