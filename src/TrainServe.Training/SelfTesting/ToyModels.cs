using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.Model;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;
using TrainServe.Training.Tokenization;

namespace TrainServe.Training.SelfTesting;

/// <summary>A model of about 20,000 weights whose tokens are bytes, and files to train it on.</summary>
internal sealed class ToyModels(string directory, TimeProvider time)
{
    private const int Context = 48;

    public string PathOf(string name) => Path.Combine(directory, name);

    /// <summary>A language model with random weights.</summary>
    public ModelPackage Language(string name = "toy", ulong seed = 1)
    {
        if (Directory.Exists(PathOf(name)))
        {
            return ModelPackage.Open(PathOf(name));
        }
        var tokenizer = new BpeVocabulary { Tokens = [.. Enumerable.Range(0, 256).Select(value => new[] { (byte)value })], Merges = [], SpecialTokens = SpecialTokens.Ours }.Save(PathOf(name + "-tokenizer"));
        var shape = new ModelSection { HiddenSize = 32, IntermediateSize = 64, NumHiddenLayers = 2, NumAttentionHeads = 4, NumKeyValueHeads = 2, MaxPositionEmbeddings = Context, InitializerRange = 0.1f };
        using var model = new Transformer(shape.ToConfig(tokenizer, Context));
        model.Initialize(seed);
        return TrainedModelWriter.Write(model, PathOf(name + "-tokenizer"), [tokenizer.Special.EosId], new Lineage { Stage = "init", Seed = seed }, PathOf(name), time, replace: false);
    }

    /// <summary>Questions whose good answers begin with yes, and whose others with no.</summary>
    public string Pairs() => Lines("pairs.jsonl", 64, i => $$"""{"prompt":"Q{{i}}","chosen":"yes {{i}}","rejected":"no {{i}}"}""");

    /// <summary>Three questions with their answers.</summary>
    public string Talks() => Lines("talks.jsonl", 3, i => $$"""{"messages":[{"role":"user","content":"{{"CDO"[i]}}?"},{"role":"assistant","content":"{{new[] { "Meow", "Woof", "Hoo" }[i]}}"}]}""");

    /// <summary>Questions of different lengths.</summary>
    public string Prompts() => Lines("prompts.jsonl", 24, i => $$"""{"prompt":"Q{{new string('?', i % 5)}}{{i}}"}""");

    /// <summary>A recipe and the options to run it.</summary>
    public RunOptions Options(string yaml, string data, string output, string model = "toy", string? reward = null, bool resume = false)
    {
        string recipe = PathOf(output + ".yaml");
        File.WriteAllText(recipe, yaml);
        return new RunOptions { RecipePath = recipe, Data = [data], Model = PathOf(model), RewardModel = reward is null ? null : PathOf(reward), Output = PathOf(output), Resume = resume };
    }

    private string Lines(string name, int count, Func<int, string> line)
    {
        File.WriteAllLines(PathOf(name), Enumerable.Range(0, count).Select(line));
        return PathOf(name);
    }
}

/// <summary>Remembers what it is told, and may end a run at a step as a crash does.</summary>
internal sealed class ToyDisplay(long? failAt = null) : ITrainingDisplay
{
    public List<StepReport> Steps { get; } = [];
    public List<MeasuredLoss> Validations { get; } = [];

    public void Note(string sentence)
    {
        // Nobody reads along.
    }

    public void Step(StepReport report)
    {
        Steps.Add(report);
        if (report.Step == failAt)
        {
            throw new CrashException();
        }
    }

    public void Validation(long step, MeasuredLoss result, bool isBest) => Validations.Add(result);

    public void Dispose()
    {
        // It holds nothing.
    }

    /// <summary>Stands for a crash.</summary>
    public sealed class CrashException : Exception;
}
