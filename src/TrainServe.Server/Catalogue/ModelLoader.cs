using System.Text.Json;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Inference;
using TrainServe.Inference.Execution;
using TrainServe.Server.Limits;

namespace TrainServe.Server.Catalogue;

/// <inheritdoc cref="ModelLoader.LoadAsync"/>
internal delegate Task<ServedModel> LoadModel(string directory, CancellationToken cancellationToken);

/// <summary>Opens a model directory for serving, after checking everything that its manifest promises.</summary>
internal sealed class ModelLoader(ServerOptions options, TimeProvider time)
{
    /// <exception cref="InvalidDataException">The directory does not hold what its manifest says, or cannot be served; the message says why.</exception>
    public async Task<ServedModel> LoadAsync(string directory, CancellationToken cancellationToken)
    {
        var package = ModelPackage.OpenVerified(directory);
        var (precision, device, note) = ExecutionChoice.Of(package, options.PrecisionOf(package.Name), options.Device);
        package.RequireCertificate(precision);
        var tokenizer = package.LoadTokenizer();
        var template = package.LoadChatTemplate(tokenizer);
        var defaults = ReadDefaults(package, out var sampling);
        int contextLength = options.ContextLength == 0 ? package.Config.MaxPositionEmbeddings : Math.Min(options.ContextLength, package.Config.MaxPositionEmbeddings);
        var engine = GenerationEngine.Load(package, precision, new EngineOptions
        {
            Device = device,
            Slots = options.Slots,
            PrefixSlots = options.PrefixSlots,
            ContextLength = contextLength,
            PrefillChunk = options.PrefillChunk,
            DraftTokens = options.DraftTokens < 0 ? null : options.DraftTokens,
            Threads = options.Threads,
            MaxQueuedRequests = options.MaxQueuedRequests,
            MaxQueuedPromptTokens = options.MaxQueuedPromptTokens,
        }, time, DraftOf(package, device));
        var model = new ServedModel
        {
            Package = package,
            Precision = precision,
            Device = device,
            DeviceNote = note,
            Tokenizer = tokenizer,
            Template = template,
            Engine = new OnnxTextEngine(engine),
            DefaultSampling = sampling,
            ContextLength = contextLength,
            Rate = new AnswerRate(time),
            StopTokenIds = [.. template.StopTokenIds.Union(package.Config.EosTokenId).Union(defaults.EosTokenId)],
            LineageId = FileHash.OfFile(package.ManifestPath),
        };
        try
        {
            await WarmUpAsync(model, cancellationToken);
            return model;
        }
        catch
        {
            await model.DisposeAsync();
            throw;
        }
    }

    // Guesses need no less care than answers: whose file is not what its manifest says is not run.
    private (ModelPackage Package, string Precision)? DraftOf(ModelPackage package, InferenceDevice device)
    {
        if (options.DraftModelOf(package.Name) is not { } name)
        {
            return null;
        }
        var draft = ModelPackage.OpenVerified(Path.Combine(Path.GetDirectoryName(package.Directory)!, name));
        string precision = ExecutionChoice.Of(draft, options.PrecisionOf(name), device.ToString()).Precision;
        draft.RequireCertificate(precision);
        return (draft, precision);
    }

    /// <summary>What the model's author wishes where a request says nothing.</summary>
    /// <exception cref="InvalidDataException">A value could not be used; it would fail every request that relies on it.</exception>
    internal static GenerationConfig ReadDefaults(ModelPackage package, out SamplingParameters sampling)
    {
        string path = Path.Combine(package.Directory, ModelPackage.GenerationConfigFile);
        var config = package.LoadGenerationConfig();
        sampling = new SamplingParameters { Temperature = config.DoSample ? config.Temperature ?? 1 : 0, TopK = config.TopK ?? 0, TopP = config.TopP ?? 1 };
        try
        {
            sampling.Validated(package.Config.VocabSize);
        }
        catch (ArgumentException error)
        {
            string name = JsonNamingPolicy.SnakeCaseLower.ConvertName(error.ParamName!);
            throw new InvalidDataException($"{path}: {name}{error.Message[error.ParamName!.Length..].Split(" (Parameter", 2)[0]}", error);
        }
        foreach (int id in config.EosTokenId.Where(id => id < 0 || id >= package.Config.VocabSize))
        {
            throw new InvalidDataException($"{path}: eos_token_id is {id}; tokens are from 0 to {package.Config.VocabSize - 1}.");
        }
        return config;
    }

    /// <summary>One short answer, so that the first caller does not wait for what is only done once.</summary>
    private static async Task WarmUpAsync(ServedModel model, CancellationToken cancellationToken)
    {
        int[] prompt = [.. Enumerable.Repeat(0, Math.Min(8, model.ContextLength - 1))];
        if (model.IsRewardModel)
        {
            await model.Engine.RewardAsync(prompt, cancellationToken);
            return;
        }
        var request = new GenerationRequest
        {
            Id = "warm-up",
            PromptIds = prompt,
            MaxNewTokens = 4,
            Sampling = SamplingParameters.Greedy,
            StopTokenIds = [],
            IgnoreEos = true,
        };
        await foreach (var _ in model.Engine.GenerateAsync(request, cancellationToken))
        {
        }
    }

    private sealed class OnnxTextEngine(GenerationEngine engine) : ITextEngine
    {
        public EngineStatus Status => engine.Status;
        public IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationRequest request, CancellationToken cancellationToken) => engine.GenerateAsync(request, cancellationToken);
        public Task<float[]> EmbedAsync(IReadOnlyList<int> ids, CancellationToken cancellationToken) => engine.EmbedAsync(ids, cancellationToken);
        public Task<float> RewardAsync(IReadOnlyList<int> ids, CancellationToken cancellationToken) => engine.RewardAsync(ids, cancellationToken);
        public ValueTask DisposeAsync() => engine.DisposeAsync();
    }
}
