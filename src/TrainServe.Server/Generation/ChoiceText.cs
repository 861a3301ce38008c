using TrainServe.Core.Tokenization;
using TrainServe.Inference;
using TrainServe.Inference.Decoding;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Generation;

/// <summary>Makes text of one choice's tokens: whole characters only, nothing of a stop text, each token's log-probability with the text that it completes.</summary>
internal sealed class ChoiceText(int choice, TextTokenizer tokenizer, IReadOnlyList<string> stops, bool logProbs)
{
    private readonly StreamingDetokenizer _detokenizer = new(tokenizer, atStart: false);
    private readonly StopStringMatcher? _matcher = stops.Count > 0 ? new StopStringMatcher(stops) : null;

    // Tokens whose text was not released yet, with the characters that came before each and the characters up to its end.
    private readonly Queue<(TokenLogProbEntry Entry, int Start, int End)> _pending = [];
    private int _decoded, _released;

    /// <summary>Tokens that the model chose, the one that ended the answer included.</summary>
    public int Tokens { get; private set; }

    /// <summary>Takes the next token. After a delta with a finish reason there is none.</summary>
    public ChoiceDelta Push(GeneratedToken token)
    {
        Tokens++;
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
            string rest = _detokenizer.Flush();
            _decoded += rest.Length;
            text += Match(rest, out stopped);
            text += stopped ? "" : _matcher?.Flush();
        }
        _released += text.Length;
        string? finish = stopped ? "stop" : token.Finish switch
        {
            null => null,
            FinishReason.Length => "length",
            _ => "stop",
        };
        return new ChoiceDelta(choice, text, Release(stopped, finish is not null), finish) { StopText = stopped ? _matcher!.Matched : null };
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
