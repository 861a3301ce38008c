using TrainServe.Core.Tokenization;
using TrainServe.Inference;
using TrainServe.Inference.Decoding;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Generation;

/// <summary>Makes text of one choice's tokens: whole characters only, nothing of a stop text, each token's log-probability with the text that it completes; and calls of tools.</summary>
/// <param name="choice">Its index.</param>
/// <param name="tokenizer">Whose tokens they are.</param>
/// <param name="stops">Texts that end the answer.</param>
/// <param name="logProbs">Whether log-probabilities are wanted. Calls of tools have none.</param>
/// <param name="toolCallId">The control token that begins a call; null where none was asked for.</param>
internal sealed class ChoiceText(int choice, TextTokenizer tokenizer, IReadOnlyList<string> stops, bool logProbs, int? toolCallId = null)
{
    private StreamingDetokenizer _detokenizer = new(tokenizer, atStart: false);
    private readonly StopStringMatcher? _matcher = stops.Count > 0 ? new StopStringMatcher(stops) : null;

    // Tokens whose text was not released yet, with the characters that came before each and the characters up to its end.
    private readonly Queue<(TokenLogProbEntry Entry, int Start, int End)> _pending = [];
    private int _decoded, _released, _calls;
    private ToolCallText? _call;

    /// <summary>Tokens that the model chose, the one that ended the answer included.</summary>
    public int Tokens { get; private set; }

    /// <summary>Tokens of the prompt that the engine had cached; known with the first token.</summary>
    public int CachedPromptTokens { get; private set; }

    /// <summary>Takes the next token. After a delta with a finish reason there is none.</summary>
    public ChoiceDelta Push(GeneratedToken token)
    {
        Tokens++;
        CachedPromptTokens = token.CachedPromptTokens;
        if (token.Id == toolCallId && token.Finish != FinishReason.Stop)
        {
            return BeginCall(token);
        }
        return _call is null ? PushText(token) : PushCall(token, _call);
    }

    private ChoiceDelta PushText(GeneratedToken token)
    {
        bool endsByToken = token.Finish == FinishReason.Stop;
        string decoded = endsByToken || token.Id >= tokenizer.VocabSize ? "" : _detokenizer.Push(token.Id);
        if (logProbs && !endsByToken)
        {
            _pending.Enqueue((Entry(token), _decoded, _decoded + decoded.Length));
        }
        _decoded += decoded.Length;
        string text = Match(decoded, out bool stopped);
        if (!stopped && token.Finish is not null)
        {
            text += Rest(out stopped);
        }
        _released += text.Length;
        string? finish = stopped ? "stop" : FinishOf(token);
        return new ChoiceDelta(choice, text, Release(stopped, finish is not null), finish) { StopText = stopped ? _matcher!.Matched : null };
    }

    /// <summary>The text is over; what follows is a call.</summary>
    private ChoiceDelta BeginCall(GeneratedToken token)
    {
        string text = "";
        IReadOnlyList<TokenLogProbEntry> logProbEntries = [];
        IReadOnlyList<ToolCallDelta> ended = [];
        if (_call is null)
        {
            text = Rest(out bool stopped);
            _released += text.Length;
            logProbEntries = Release(stopped, finished: true);
            if (stopped)
            {
                return new ChoiceDelta(choice, text, logProbEntries, "stop") { StopText = _matcher!.Matched };
            }
        }
        else
        {
            ended = [.. _call.End()];
        }
        _call = new ToolCallText(_calls++);
        _detokenizer = new StreamingDetokenizer(tokenizer, atStart: false);
        return new ChoiceDelta(choice, text, logProbEntries, FinishOf(token)) { ToolCalls = ended };
    }

    private ChoiceDelta PushCall(GeneratedToken token, ToolCallText call)
    {
        List<ToolCallDelta> deltas = token.Finish == FinishReason.Stop ? [] : [.. call.Push(_detokenizer.Push(token.Id))];
        if (token.Finish is not null)
        {
            deltas.AddRange(call.End());
        }
        return new ChoiceDelta(choice, "", [], token.Finish == FinishReason.Stop ? "tool_calls" : FinishOf(token)) { ToolCalls = deltas };
    }

    private static string? FinishOf(GeneratedToken token) => token.Finish switch
    {
        null => null,
        FinishReason.Length => "length",
        _ => "stop",
    };

    /// <summary>What was held back of the text.</summary>
    private string Rest(out bool stopped)
    {
        string rest = _detokenizer.Flush();
        _decoded += rest.Length;
        string text = Match(rest, out stopped);
        return stopped ? text : text + _matcher?.Flush();
    }

    private string Match(string decoded, out bool stopped)
    {
        stopped = false;
        if (_matcher is null)
        {
            return decoded;
        }
        string text = _matcher.Push(decoded);
        stopped = _matcher.IsMatched;
        return text;
    }

    // A token goes out with the end of its text, one that is only a part of a character with the character.
    // After a stop text only the tokens that began before it belong to the answer.
    private IReadOnlyList<TokenLogProbEntry> Release(bool stopped, bool finished)
    {
        if (_pending.Count == 0)
        {
            return [];
        }
        var entries = new List<TokenLogProbEntry>();
        while (_pending.TryPeek(out var next) && (stopped ? next.Start < _released : finished || (next.End <= _released && next.Start < _released)))
        {
            entries.Add(_pending.Dequeue().Entry);
        }
        return entries;
    }

    private TokenLogProbEntry Entry(GeneratedToken token)
    {
        var (text, bytes) = Show(token.Id);
        return new TokenLogProbEntry(text, Finite(token.LogProb), bytes, [.. token.Top.Select(top =>
        {
            var (topText, topBytes) = Show(top.Id);
            return new TopLogProbEntry(topText, Finite(top.LogProb), topBytes);
        })]);
    }

    private (string Text, IReadOnlyList<int>? Bytes) Show(int id)
    {
        if (id >= tokenizer.VocabSize)
        {
            return ("", null);
        }
        var bytes = tokenizer.TokenBytes(id);
        return bytes.IsEmpty ? (tokenizer.Special.TryGetContent(id) ?? "", null) : (System.Text.Encoding.UTF8.GetString(bytes), Array.ConvertAll(bytes.ToArray(), value => (int)value));
    }

    // OpenAI's number for "very unlikely"; JSON has no infinity.
    private static float Finite(float logProb) => float.IsFinite(logProb) ? logProb : -9999f;
}
