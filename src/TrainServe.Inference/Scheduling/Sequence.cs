using System.Threading.Channels;
using TrainServe.Core.Sampling;

namespace TrainServe.Inference.Scheduling;

/// <summary>A request on its way through the engine. Only the engine's thread touches it, except where stated.</summary>
/// <remarks>
/// The output holds every token that the request may produce, so that writing never waits: a consumer that stops reading costs memory for its own tokens,
/// bounded by its own request, and stops nobody.
/// </remarks>
internal sealed class Sequence
{
    private static long _orders;
    private readonly Channel<GeneratedToken> _output;
    private readonly int[] _stopIds, _tokens;
    private volatile bool _cancelRequested;
    private GeneratedToken? _unpublished;
    private Exception? _error;

    /// <param name="request">Checked already.</param>
    /// <param name="maxNewTokens">Most tokens that fit into the context as well.</param>
    /// <param name="stopIds">Tokens that end it.</param>
    /// <param name="seed">The request's own, or a fresh one.</param>
    /// <param name="deadline">A timestamp of the engine's clock; null for none.</param>
    /// <param name="reading">What to note while the prompt is computed; then nothing is generated.</param>
    public Sequence(GenerationRequest request, int maxNewTokens, int[] stopIds, ulong seed, long? deadline = null, PromptReading? reading = null)
    {
        (Id, Sampling, Constraint, Priority, Salt) = (request.Id, request.Sampling, request.Constraint, request.Priority, request.CacheSalt);
        (MaxNewTokens, Seed, Deadline, _stopIds) = (maxNewTokens, seed, deadline, stopIds);
        TimeLimit = request.TimeLimit ?? Timeout.InfiniteTimeSpan;
        PromptLength = request.PromptIds.Count;
        _tokens = new int[PromptLength + maxNewTokens];
        for (int i = 0; i < PromptLength; i++)
        {
            _tokens[i] = request.PromptIds[i];
        }
        Reading = reading;
        History = request.Sampling.NeedsHistory ? new TokenHistory(Tokens) : null;
        _output = Channel.CreateBounded<GeneratedToken>(new BoundedChannelOptions(Math.Max(1, maxNewTokens)) { SingleReader = true, SingleWriter = true });
    }

    public string Id { get; }
    public int PromptLength { get; }
    public int MaxNewTokens { get; }
    public SamplingParameters Sampling { get; }
    public ulong Seed { get; }
    public TokenHistory? History { get; }
    public ILogitsConstraint? Constraint { get; }
    public int Priority { get; }
    public string? Salt { get; }
    public long? Deadline { get; }
    public TimeSpan TimeLimit { get; }

    /// <summary>Grows with every sequence that is made.</summary>
    public long Order { get; } = Interlocked.Increment(ref _orders);

    /// <summary>Where its cache lies while it runs.</summary>
    public int Slot { get; set; } = -1;

    /// <summary>How many of its tokens are cached.</summary>
    public int Cached { get; set; }

    public int Generated { get; private set; }

    /// <summary>Prompt tokens that were copied, not computed, when it first got a slot.</summary>
    public int CopiedPromptTokens { get; private set; } = -1;

    /// <summary>Prompt and answer so far.</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, PromptLength + Generated);

    /// <summary>Those of them that are cached.</summary>
    public ReadOnlySpan<int> CachedTokens => _tokens.AsSpan(0, Cached);

    /// <summary>Tokens to compute before the next can be chosen: one while it decodes.</summary>
    public int Left => PromptLength + Generated - Cached;

    /// <summary>The newest token, chosen but not yet cached.</summary>
    public int LastId => _tokens[PromptLength + Generated - 1];

    public bool HasEnded { get; private set; }

    /// <summary>Nothing went wrong with it, so that others may use what it has cached.</summary>
    public bool IsCacheSound => _error is null or OperationCanceledException or DeadlineExceededException;

    /// <summary>Null where an answer is wanted.</summary>
    public PromptReading? Reading { get; }

    /// <summary>It may begin with what others have cached. Who reads the prompt needs every token computed.</summary>
    public bool UsesPrefixes => Reading is null;

    /// <summary>May be read and asked for by any thread; the engine obeys before its next step.</summary>
    public bool CancelRequested => _cancelRequested;

    /// <summary>For the consumer.</summary>
    public ChannelReader<GeneratedToken> Output => _output.Reader;

    public void RequestCancel() => _cancelRequested = true;

    /// <summary>It has a slot, in which its first tokens are cached already.</summary>
    public void Start(int slot, int cached)
    {
        (Slot, Cached) = (slot, cached);
        CopiedPromptTokens = CopiedPromptTokens < 0 ? cached : CopiedPromptTokens;
    }

    /// <summary>It has lost its slot and will have to compute its tokens again.</summary>
    public void Suspend() => (Slot, Cached) = (-1, 0);

    /// <summary>Adds a chosen token, and ends the sequence where it is the last.</summary>
    public void Add(TokenLogProb token, TokenLogProb[] top)
    {
        _tokens[PromptLength + Generated++] = token.Id;
        History?.Add(token.Id);
        FinishReason? finish = Array.IndexOf(_stopIds, token.Id) >= 0 ? FinishReason.Stop : Generated == MaxNewTokens ? FinishReason.Length : null;
        if (finish != FinishReason.Stop)
        {
            Constraint?.Accept(token.Id);
        }
        _unpublished = new GeneratedToken(token.Id, token.LogProb, top, finish) { CachedPromptTokens = CopiedPromptTokens };
        HasEnded = finish is not null;
    }

    /// <summary>Ends a sequence whose prompt was only to be read.</summary>
    public void EndReading() => HasEnded = true;

    /// <summary>Ends the sequence before it is finished.</summary>
    public void Fail(Exception error) => (HasEnded, _error) = (true, error);

    /// <summary>Shows the consumer what was added since the last time, and the end.</summary>
    public void Publish()
    {
        if (_unpublished is { } token)
        {
            _output.Writer.TryWrite(token);
            _unpublished = null;
        }
        if (HasEnded)
        {
            _output.Writer.TryComplete(_error);
        }
    }
}
