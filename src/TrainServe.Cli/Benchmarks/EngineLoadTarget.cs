using System.Diagnostics;
using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Inference;
using TrainServe.Inference.Execution;

namespace TrainServe.Cli.Benchmarks;

/// <summary>The engine in this process, without a server around it: what HTTP costs is the difference.</summary>
internal sealed class EngineLoadTarget : ILoadTarget, IAsyncDisposable
{
    private readonly LoadPlan _plan;
    private readonly ChatTemplate _template;
    private readonly GenerationEngine _engine;
    private int _count;

    /// <param name="plan">What is asked for.</param>
    /// <param name="package">The model.</param>
    /// <param name="precision">auto, or one of its exports.</param>
    /// <param name="device">auto, cpu, cuda or cuda:N.</param>
    /// <param name="options">Sizes, which should be the server's.</param>
    public EngineLoadTarget(LoadPlan plan, ModelPackage package, string precision, string device, EngineOptions options)
    {
        (_plan, _template) = (plan, package.LoadChatTemplate(package.LoadTokenizer()));
        var choice = ExecutionChoice.Of(package, precision, device);
        _engine = GenerationEngine.Load(package, choice.Precision, options with { Device = choice.Device });
    }

    /// <inheritdoc/>
    public async Task<LoadSample> SendAsync(IReadOnlyList<ChatMessage> messages, long due, CancellationToken cancellationToken)
    {
        var pieces = new List<TimeSpan>();
        int[] prompt = _template.EncodePrompt(messages);
        int cached = 0;
        var request = new GenerationRequest
        {
            Id = $"load-{Interlocked.Increment(ref _count)}",
            PromptIds = prompt,
            MaxNewTokens = _plan.MaxTokens,
            Sampling = SamplingParameters.Greedy,
            StopTokenIds = _plan.IgnoreEos ? [] : _template.StopTokenIds,
            IgnoreEos = _plan.IgnoreEos,
        };
        try
        {
            await foreach (var token in _engine.GenerateAsync(request, cancellationToken))
            {
                cached = token.CachedPromptTokens;
                pieces.Add(Stopwatch.GetElapsedTime(due));
            }
            return LoadSample.Of(null, due, pieces, (prompt.Length, cached, pieces.Count));
        }
        catch (Exception error) when (error is QueueFullException or PromptTooLongException or EngineFaultException)
        {
            return LoadSample.Of(error.GetType().Name, due, pieces, (prompt.Length, cached, pieces.Count));
        }
    }

    public ValueTask DisposeAsync() => _engine.DisposeAsync();
}
