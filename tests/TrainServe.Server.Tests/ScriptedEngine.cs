using System.Runtime.CompilerServices;
using TrainServe.Inference;
using TrainServe.Server.Catalogue;

namespace TrainServe.Server.Tests;

/// <summary>An engine that does what a test says: faults, full queues and waits are not to be had from a real one on demand.</summary>
internal sealed class ScriptedEngine : ITextEngine
{
    private int _running;

    /// <summary>Makes the tokens of a request.</summary>
    public required Func<GenerationRequest, CancellationToken, IAsyncEnumerable<GeneratedToken>> Script { get; set; }

    /// <summary>Requests in the order in which they came.</summary>
    public List<GenerationRequest> Requests { get; } = [];

    /// <summary>Throws what a real engine would throw for a request that it does not take.</summary>
    public Action<GenerationRequest>? Check { get; set; }

    /// <summary>Makes vectors; null for an export that has none.</summary>
    public Func<IReadOnlyList<int>, float[]>? Embed { get; set; }

    public Task<float[]> EmbedAsync(IReadOnlyList<int> ids, CancellationToken cancellationToken) =>
        Embed is null ? throw new NotSupportedException() : Task.FromResult(Embed(ids));

    /// <summary>Scores a text; null for a model that is no reward model.</summary>
    public Func<IReadOnlyList<int>, float>? Reward { get; set; }

    public Task<float> RewardAsync(IReadOnlyList<int> ids, CancellationToken cancellationToken) =>
        Reward is null ? throw new NotSupportedException() : Task.FromResult(Reward(ids));

    public int Running => Volatile.Read(ref _running);

    /// <summary>Why the engine is dead.</summary>
    public string? Fault { get; set; }

    /// <summary>For how long nothing moved.</summary>
    public TimeSpan SinceProgress { get; set; }

    public EngineStatus Status => new() { Running = Running, Waiting = 0, Slots = 8, Fault = Fault, SinceProgress = SinceProgress };

    /// <summary>Says the given ids one after the other, then a token that ends the answer.</summary>
    public static ScriptedEngine Saying(params int[] ids) => new() { Script = (request, _) => Say(ids, request.PromptIds.Count / 2) };

    public async IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Check?.Invoke(request);
        lock (Requests)
        {
            Requests.Add(request);
        }
        Interlocked.Increment(ref _running);
        try
        {
            await foreach (var token in Script(request, cancellationToken).WithCancellation(cancellationToken))
            {
                yield return token;
            }
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
    }

    public bool IsDisposed { get; private set; }

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        return ValueTask.CompletedTask;
    }

    public static GeneratedToken Token(int id, FinishReason? finish = null) => new(id, -0.5f, [], finish);

    private static async IAsyncEnumerable<GeneratedToken> Say(int[] ids, int cached)
    {
        foreach (int id in ids)
        {
            await Task.Yield();
            yield return Token(id) with { CachedPromptTokens = cached };
        }
        yield return Token(0, FinishReason.Stop) with { CachedPromptTokens = cached };
    }
}
