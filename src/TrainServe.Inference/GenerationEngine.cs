using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Inference.Execution;
using TrainServe.Inference.Scheduling;
using TrainServe.Inference.Speculation;

namespace TrainServe.Inference;

/// <summary>Generates text for many requests at once, on one model. For any thread.</summary>
/// <remarks>
/// A request's tokens do not depend on what else runs: greedy ids and seeded draws are those that it would get alone. What one request does wrong ends that request
/// alone. If the engine itself fails, every stream throws <see cref="EngineFaultException"/>, and so does every later request.
/// </remarks>
public sealed class GenerationEngine : IAsyncDisposable
{
    private const int DefaultDraftTokens = 4;
    private readonly EngineOptions _options;
    private readonly Admission _admission;
    private readonly EngineLoop _loop;
    private readonly TimeProvider _time;
    private readonly bool _givesHidden;

    internal GenerationEngine(IModelRunner runner, ModelConfig config, EngineOptions options, TimeProvider time, IDrafter? drafter = null)
    {
        (Config, _options, _time) = (config, options, time);
        _givesHidden = runner.GivesHidden;
        _admission = new Admission(options, time);
        _loop = new EngineLoop(runner, options, _admission, time, drafter);
    }

    public ModelConfig Config { get; }

    /// <summary>Most tokens of prompt and answer together.</summary>
    public int ContextLength => _options.ContextLength;

    /// <summary>What the engine is doing at this moment.</summary>
    public EngineStatus Status => _loop.Status;

    /// <summary>Loads an exported model. Checks no hash and no certificate: that is for who decides to serve it.</summary>
    /// <param name="package">The model.</param>
    /// <param name="precision">Which of its exports: fp32, fp16, int8 or int4.</param>
    /// <param name="options">Sizes of the engine.</param>
    /// <param name="time">Null takes the system's.</param>
    /// <param name="draft">A smaller model with the same tokenizer that guesses ahead; null looks guesses up in what was written already.</param>
    /// <exception cref="ArgumentException">An option is out of its range, the cache does not fit into memory, or the smaller model has another tokenizer.</exception>
    /// <exception cref="FileNotFoundException">The model has no such export.</exception>
    /// <exception cref="InvalidDataException">The export is damaged, unsafe, or of another shape than the model.</exception>
    public static GenerationEngine Load(ModelPackage package, string precision, EngineOptions options, TimeProvider? time = null, (ModelPackage Package, string Precision)? draft = null)
    {
        var validated = options.ValidatedFor(package.Config);
        var runner = Open(package, precision, validated, validated.Slots + validated.PrefixSlots);
        try
        {
            validated = validated with { DraftTokens = options.DraftTokens ?? (runner.HasEightBitCache || draft is not null ? DefaultDraftTokens : 0) };
            return new GenerationEngine(runner, package.Config, validated, time ?? TimeProvider.System, validated.DraftTokens == 0 ? null : Drafter(package, validated, draft));
        }
        catch
        {
            runner.Dispose();
            throw;
        }
    }

    /// <summary>Generates until a stop token, the most tokens or the end of the context; the last item says which.</summary>
    /// <remarks>
    /// Work begins with the first item that is asked for. Leaving the loop, or cancelling, frees the request's slot before the engine's next step. A consumer that
    /// reads slowly delays nobody: its tokens wait for it.
    /// </remarks>
    /// <exception cref="ArgumentException">The request breaks a rule; the message names it.</exception>
    /// <exception cref="PromptTooLongException">The prompt leaves no room for an answer.</exception>
    /// <exception cref="QueueFullException">Too much is waiting already.</exception>
    /// <exception cref="DeadlineExceededException">The request's time limit was over.</exception>
    /// <exception cref="EngineFaultException">The engine has failed or was stopped.</exception>
    /// <exception cref="Core.Sampling.NonFiniteLogitsException">The model gave this request something that is no number.</exception>
    public async IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Validate(request);
        await foreach (var token in RunAsync(Prepare(request), cancellationToken))
        {
            yield return token;
        }
    }

    /// <summary>The log-probability that the model gives each token but the first, after those before it: [tokens - 1], natural logs.</summary>
    /// <exception cref="ArgumentException">There are fewer than two tokens, more than the context holds, or unknown ones.</exception>
    /// <exception cref="QueueFullException">Too much is waiting already.</exception>
    /// <exception cref="EngineFaultException">The engine has failed or was stopped.</exception>
    public async Task<IReadOnlyList<float>> ScoreAsync(IReadOnlyList<int> ids, CancellationToken cancellationToken = default)
    {
        if (ids.Count < 2)
        {
            throw new ArgumentException($"There are {ids.Count} tokens to score; there must be two at least.", nameof(ids));
        }
        var reading = new LogLikelihoodReading(ids.Count);
        await ReadAsync(ids, reading, cancellationToken);
        return reading.LogProbs;
    }

    /// <summary>The mean of the model's hidden states after all tokens, [C], not normalised.</summary>
    /// <exception cref="ArgumentException">There are no tokens, more than the context holds, or unknown ones.</exception>
    /// <exception cref="NotSupportedException">The export is too old to give hidden states.</exception>
    /// <exception cref="QueueFullException">Too much is waiting already.</exception>
    /// <exception cref="EngineFaultException">The engine has failed or was stopped.</exception>
    public async Task<float[]> EmbedAsync(IReadOnlyList<int> ids, CancellationToken cancellationToken = default)
    {
        if (!_givesHidden)
        {
            throw new NotSupportedException("The export gives no hidden states; export the model again.");
        }
        var reading = new MeanHiddenReading(Config.HiddenSize);
        await ReadAsync(ids, reading, cancellationToken);
        return reading.Mean;
    }

    /// <summary>The score that a reward model gives a whole text.</summary>
    /// <exception cref="ArgumentException">There are no tokens, more than the context holds, or unknown ones.</exception>
    /// <exception cref="NotSupportedException">The model is no reward model.</exception>
    /// <exception cref="NonFiniteLogitsException">The score is no number.</exception>
    /// <exception cref="QueueFullException">Too much is waiting already.</exception>
    /// <exception cref="EngineFaultException">The engine has failed or was stopped.</exception>
    public async Task<float> RewardAsync(IReadOnlyList<int> ids, CancellationToken cancellationToken = default)
    {
        if (!Config.IsRewardModel)
        {
            throw new NotSupportedException("The model is no reward model: it has no score.");
        }
        var reading = new RewardReading();
        await ReadAsync(ids, reading, cancellationToken);
        return float.IsFinite(reading.Score) ? reading.Score : throw new NonFiniteLogitsException();
    }

    /// <summary>Stops after the step at hand. Requests that have not ended fail with <see cref="EngineFaultException"/>; who wants them finished waits for them first.</summary>
    public async ValueTask DisposeAsync()
    {
        _loop.Stop();
        await _loop.Ended;
    }

    private static OnnxModelRunner Open(ModelPackage package, string precision, EngineOptions options, int slots) =>
        OnnxModelRunner.Open(package.OnnxModelPath(precision), package.Config, new RunnerOptions { Slots = slots, ContextLength = Math.Min(options.ContextLength, package.Config.MaxPositionEmbeddings), Device = options.Device, Threads = options.Threads });

    private static IDrafter Drafter(ModelPackage package, EngineOptions options, (ModelPackage Package, string Precision)? draft)
    {
        if (draft is not { } smaller)
        {
            return new PromptLookupDrafter();
        }
        if (smaller.Package.LoadTokenizer().Sha256 != package.LoadTokenizer().Sha256)
        {
            throw new ArgumentException($"{smaller.Package.Name} cannot guess for {package.Name}: their tokenizers differ.", nameof(draft));
        }
        return new ModelDrafter(Open(smaller.Package, smaller.Precision, options, slots: 1), options.PrefillChunk);
    }

    private async IAsyncEnumerable<GeneratedToken> RunAsync(Sequence sequence, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (_loop.Fault is { } fault)
        {
            throw new EngineFaultException(fault);
        }
        _admission.Enter(sequence.PromptLength);
        _loop.Submit(sequence);
        try
        {
            await foreach (var token in sequence.Output.ReadAllAsync(cancellationToken))
            {
                yield return token;
            }
        }
        finally
        {
            _loop.Cancel(sequence);
        }
    }

    private void Validate(GenerationRequest request)
    {
        if (request.PromptIds.Count == 0)
        {
            throw new ArgumentException("The prompt has no tokens; it must have at least one.", nameof(request));
        }
        if (request.MaxNewTokens < 1)
        {
            throw new ArgumentException($"MaxNewTokens is {request.MaxNewTokens}; it must be at least 1.", nameof(request));
        }
        if (request.TimeLimit is { } limit && limit <= TimeSpan.Zero)
        {
            throw new ArgumentException($"TimeLimit is {limit}; it must be above 0.", nameof(request));
        }
        if (request.PromptIds.Count >= _options.ContextLength)
        {
            throw new PromptTooLongException(request.PromptIds.Count, _options.ContextLength);
        }
        RequireKnown(request.PromptIds);
        request.Sampling.Validated(Config.VocabSize);
    }

    private void RequireKnown(IReadOnlyList<int> ids)
    {
        foreach (int id in ids)
        {
            if (id < 0 || id >= Config.VocabSize)
            {
                throw new ArgumentException($"The prompt holds token {id}; tokens are from 0 to {Config.VocabSize - 1}.", nameof(ids));
            }
        }
    }

    private async Task ReadAsync(IReadOnlyList<int> ids, PromptReading reading, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (ids.Count == 0 || ids.Count > _options.ContextLength)
        {
            throw new ArgumentException($"There are {ids.Count} tokens; there must be one at least, and the context holds {_options.ContextLength}.", nameof(ids));
        }
        RequireKnown(ids);
        var request = new GenerationRequest { Id = "read", PromptIds = ids, MaxNewTokens = 0, Sampling = SamplingParameters.Greedy };
        var sequence = new Sequence(request, maxNewTokens: 0, stopIds: [], seed: 0, reading: reading);
        await foreach (var _ in RunAsync(sequence, cancellationToken))
        {
        }
    }

    private Sequence Prepare(GenerationRequest request)
    {
        int room = _options.ContextLength - request.PromptIds.Count;
        int[] stopIds = [.. request.StopTokenIds, .. request.IgnoreEos ? [] : Config.EosTokenId];
        ulong seed = request.Sampling.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        long? deadline = request.TimeLimit is { } limit ? _time.GetTimestamp() + (long)(limit.TotalSeconds * _time.TimestampFrequency) : null;
        return new Sequence(request, Math.Min(request.MaxNewTokens, room), stopIds, seed, deadline);
    }
}
