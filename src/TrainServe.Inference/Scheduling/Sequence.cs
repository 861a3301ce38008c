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
    private readonly Channel<GeneratedToken> _output;
    private readonly int[] _stopIds;
    private volatile bool _cancelRequested;
    private GeneratedToken? _unpublished;
    private Exception? _error;

    /// <param name="request">Checked already.</param>
    /// <param name="maxNewTokens">Most tokens that fit into the context as well.</param>
    /// <param name="stopIds">Tokens that end it.</param>
    /// <param name="seed">The request's own, or a fresh one.</param>
    public Sequence(GenerationRequest request, int maxNewTokens, int[] stopIds, ulong seed)
    {
        (Id, Sampling, PromptIds, MaxNewTokens, Seed, _stopIds) = (request.Id, request.Sampling, [.. request.PromptIds], maxNewTokens, seed, stopIds);
        Constraint = request.Constraint;
        History = request.Sampling.NeedsHistory ? new TokenHistory(PromptIds) : null;
        _output = Channel.CreateBounded<GeneratedToken>(new BoundedChannelOptions(maxNewTokens) { SingleReader = true, SingleWriter = true });
    }

    public string Id { get; }
    public int[] PromptIds { get; }
    public int MaxNewTokens { get; }
    public SamplingParameters Sampling { get; }
    public ulong Seed { get; }
    public TokenHistory? History { get; }
    public ILogitsConstraint? Constraint { get; }

    /// <summary>Where its cache lies while it runs.</summary>
    public int Slot { get; set; } = -1;

    /// <summary>How many of its tokens are cached.</summary>
    public int Cached { get; set; }

    public int Generated { get; private set; }

    /// <summary>The newest token, chosen but not yet cached.</summary>
    public int LastId { get; private set; }

    public bool HasEnded { get; private set; }

    /// <summary>May be read and asked for by any thread; the engine obeys before its next step.</summary>
    public bool CancelRequested => _cancelRequested;

    /// <summary>For the consumer.</summary>
    public ChannelReader<GeneratedToken> Output => _output.Reader;

    public int PromptLeft => PromptIds.Length - Cached;

    public void RequestCancel() => _cancelRequested = true;

    /// <summary>Adds a chosen token, and ends the sequence where it is the last.</summary>
    public void Add(TokenLogProb token, TokenLogProb[] top)
    {
        LastId = token.Id;
        Generated++;
        History?.Add(token.Id);
        FinishReason? finish = Array.IndexOf(_stopIds, token.Id) >= 0 ? FinishReason.Stop : Generated == MaxNewTokens ? FinishReason.Length : null;
        if (finish != FinishReason.Stop)
        {
            Constraint?.Accept(token.Id);
        }
        _unpublished = new GeneratedToken(token.Id, token.LogProb, top, finish);
        HasEnded = finish is not null;
    }

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
