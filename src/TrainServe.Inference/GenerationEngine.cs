using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Inference.Execution;
using TrainServe.Inference.Scheduling;

namespace TrainServe.Inference;

/// <summary>Generates text for many requests at once, on one model. For any thread.</summary>
/// <remarks>
/// A request's tokens do not depend on what else runs: greedy ids and seeded draws are those that it would get alone. What one request does wrong ends that request
/// alone. If the engine itself fails, every stream throws <see cref="EngineFaultException"/>, and so does every later request.
/// </remarks>
public sealed class GenerationEngine : IAsyncDisposable
{
    private readonly EngineOptions _options;
    private readonly Admission _admission;
    private readonly EngineLoop _loop;

    internal GenerationEngine(IModelRunner runner, ModelConfig config, EngineOptions options, TimeProvider time)
    {
        (Config, _options) = (config, options);
        _admission = new Admission(options, time);
        _loop = new EngineLoop(runner, options, _admission, time);
    }

    public ModelConfig Config { get; }

    /// <summary>Most tokens of prompt and answer together.</summary>
    public int ContextLength => _options.ContextLength;

    /// <summary>What the engine is doing at this moment.</summary>
    public EngineStatus Status => _loop.Status;

    /// <summary>Loads an exported model. Checks no hash and no certificate: that is for who decides to serve it.</summary>
    /// <param name="package">The model.</param>
    /// <param name="precision">Which of its exports: fp32.</param>
    /// <param name="options">Sizes of the engine.</param>
    /// <param name="time">Null takes the system's.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the cache does not fit into memory.</exception>
    /// <exception cref="FileNotFoundException">The model has no such export.</exception>
    /// <exception cref="InvalidDataException">The export is damaged, unsafe, or of another shape than the model.</exception>
    public static GenerationEngine Load(ModelPackage package, string precision, EngineOptions options, TimeProvider? time = null)
    {
        var validated = options.ValidatedFor(package.Config);
        var runner = OnnxModelRunner.Open(package.OnnxModelPath(precision), package.Config, new RunnerOptions
        {
            Slots = validated.Slots,
            ContextLength = validated.ContextLength,
            Threads = validated.Threads,
        });
        return new GenerationEngine(runner, package.Config, validated, time ?? TimeProvider.System);
    }

    /// <summary>Generates until a stop token, the most tokens or the end of the context; the last item says which.</summary>
    /// <remarks>
    /// Work begins with the first item that is asked for. Leaving the loop, or cancelling, frees the request's slot before the engine's next step. A consumer that
    /// reads slowly delays nobody: its tokens wait for it.
    /// </remarks>
    /// <exception cref="ArgumentException">The request breaks a rule; the message names it.</exception>
    /// <exception cref="PromptTooLongException">The prompt leaves no room for an answer.</exception>
    /// <exception cref="QueueFullException">Too much is waiting already.</exception>
    /// <exception cref="EngineFaultException">The engine has failed or was stopped.</exception>
    /// <exception cref="Core.Sampling.NonFiniteLogitsException">The model gave this request something that is no number.</exception>
    public async IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Validate(request);
        if (_loop.Fault is { } fault)
        {
            throw new EngineFaultException(fault);
        }
        var sequence = Prepare(request);
        _admission.Enter(sequence.PromptIds.Length);
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

    /// <summary>Stops after the step at hand. Requests that have not ended fail with <see cref="EngineFaultException"/>; who wants them finished waits for them first.</summary>
    public async ValueTask DisposeAsync()
    {
        _loop.Stop();
        await _loop.Ended;
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
        if (request.PromptIds.Count >= _options.ContextLength)
        {
            throw new PromptTooLongException(request.PromptIds.Count, _options.ContextLength);
        }
        foreach (int id in request.PromptIds)
        {
            if (id < 0 || id >= Config.VocabSize)
            {
                throw new ArgumentException($"The prompt holds token {id}; tokens are from 0 to {Config.VocabSize - 1}.", nameof(request));
            }
        }
        request.Sampling.Validated(Config.VocabSize);
    }

    private Sequence Prepare(GenerationRequest request)
    {
        int room = _options.ContextLength - request.PromptIds.Count;
        int[] stopIds = [.. request.StopTokenIds, .. request.IgnoreEos ? [] : Config.EosTokenId];
        ulong seed = request.Sampling.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        return new Sequence(request, Math.Min(request.MaxNewTokens, room), stopIds, seed);
    }
}
