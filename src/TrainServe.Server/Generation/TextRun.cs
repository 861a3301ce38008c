using System.Threading.Channels;
using TrainServe.Inference;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Recording;
using TrainServe.Server.Telemetry;

namespace TrainServe.Server.Generation;

/// <summary>The choices of one request while they are made, merged into one sequence of deltas.</summary>
/// <remarks>Streamed and whole answers read the same deltas, so they are the same in content. Disposing it stops what still runs.</remarks>
internal sealed class TextRun : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop;
    private readonly Channel<ChoiceDelta> _deltas = Channel.CreateUnbounded<ChoiceDelta>(new UnboundedChannelOptions { SingleReader = true });
    private readonly ChoiceText[] _choices;
    private readonly string[] _finishReasons;
    private readonly AnswerObserver _observer;
    private readonly AnswerRecord? _record;
    private readonly ChoiceText[] _firstOfPrompt;
    private readonly Task _all;

    /// <summary>Hands every choice to the engine.</summary>
    /// <param name="engine">Makes the tokens.</param>
    /// <param name="plan">An engine request for each choice.</param>
    /// <param name="choices">What makes text of each one's tokens.</param>
    /// <param name="promptTokens">Tokens of all prompts, each counted once.</param>
    /// <param name="observer">Is told of each token.</param>
    /// <param name="cancellationToken">The caller went away, or the server's time to drain is over.</param>
    /// <param name="record">Takes the answer that is to be kept; null for none.</param>
    public TextRun(ITextEngine engine, GenerationRequest[] plan, ChoiceText[] choices, int promptTokens, AnswerObserver observer, CancellationToken cancellationToken, AnswerRecord? record = null)
    {
        _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        (PromptTokens, _choices, _finishReasons) = (promptTokens, choices, new string[choices.Length]);
        _firstOfPrompt = [.. choices.Where((_, i) => i == 0 || !ReferenceEquals(plan[i].PromptIds, plan[i - 1].PromptIds))];
        (_observer, _record) = (observer, record);
        _all = Task.WhenAll(plan.Select((item, i) => PumpAsync(engine, item, i)));
        _ = EndAsync();
    }

    public int PromptTokens { get; }

    public int Choices => _choices.Length;

    /// <summary>Of all choices so far, the tokens that ended them included.</summary>
    public int CompletionTokens => _choices.Sum(choice => choice.Tokens);

    /// <summary>Of each choice; complete when the deltas have ended.</summary>
    public IReadOnlyList<string> FinishReasons => _finishReasons;

    // The choices of one prompt share its computation; what its first one found cached is what the caller was spared.
    public CompletionUsage Usage => new(PromptTokens, CompletionTokens) { PromptTokensDetails = new(_firstOfPrompt.Sum(choice => choice.CachedPromptTokens)) };

    /// <summary>Ends when every choice has its finish reason; throws what the engine threw.</summary>
    public ChannelReader<ChoiceDelta> Deltas => _deltas.Reader;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _all;
        _stop.Dispose();
    }

    private async Task EndAsync()
    {
        await _all;
        if (_finishReasons.All(reason => reason is not null))
        {
            _record?.Complete(); // before the caller sees the end, and can speak of the answer
        }
        _deltas.Writer.TryComplete();
    }

    private async Task PumpAsync(ITextEngine engine, GenerationRequest request, int index)
    {
        try
        {
            await foreach (var token in engine.GenerateAsync(request, _stop.Token))
            {
                _observer.Token(index);
                var delta = _choices[index].Push(token);
                _record?.Take(delta);
                if (!delta.IsEmpty)
                {
                    _deltas.Writer.TryWrite(delta);
                }
                if (delta.FinishReason is { } reason)
                {
                    _finishReasons[index] = reason;
                    return;
                }
            }
            _stop.Token.ThrowIfCancellationRequested();
            throw new InvalidOperationException("The engine ended a sequence without a reason.");
        }
        catch (Exception exception)
        {
            // The request fails as a whole: the reader gets the first failure, and the other choices stop.
            _deltas.Writer.TryComplete(exception);
            await _stop.CancelAsync();
        }
    }
}
