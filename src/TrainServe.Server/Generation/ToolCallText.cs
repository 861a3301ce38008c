using System.Text;
using System.Text.Json;

namespace TrainServe.Server.Generation;

/// <summary>A piece of the call of a tool.</summary>
/// <param name="Index">The number of the call within the choice.</param>
/// <param name="Id">In the first piece.</param>
/// <param name="Name">In the first piece.</param>
/// <param name="Arguments">More of the arguments' JSON.</param>
internal readonly record struct ToolCallDelta(int Index, string? Id, string? Name, string Arguments);

/// <summary>Takes apart what the model writes after the control token: <c>{"name": "NAME", "arguments": ARGUMENTS}</c>.</summary>
internal sealed class ToolCallText(int index)
{
    private const string BeforeName = "{\"name\": \"", AfterName = "\", \"arguments\": ";
    private readonly StringBuilder _head = new(), _arguments = new();
    private bool _named;

    // A brace may be the one that closes the call.
    private bool _brace;

    /// <summary>What more of the call is known now.</summary>
    public IEnumerable<ToolCallDelta> Push(string piece)
    {
        if (!_named)
        {
            _head.Append(piece);
            string head = _head.ToString();
            int end = head.IndexOf(AfterName, StringComparison.Ordinal);
            if (end < 0)
            {
                yield break;
            }
            _named = true;
            yield return new ToolCallDelta(index, $"call_{Guid.NewGuid():N}", head[BeforeName.Length..end], "");
            piece = head[(end + AfterName.Length)..];
        }
        if (piece.Length == 0)
        {
            yield break;
        }
        string text = _brace ? "}" + piece : piece;
        _brace = text[^1] == '}';
        text = _brace ? text[..^1] : text;
        if (text.Length > 0)
        {
            _arguments.Append(text);
            yield return new ToolCallDelta(index, null, null, text);
        }
    }

    /// <summary>The end of the call; what a limit of tokens cut off may lack its closing brace.</summary>
    public IEnumerable<ToolCallDelta> End()
    {
        if (_brace && !IsWhole(_arguments.ToString()))
        {
            yield return new ToolCallDelta(index, null, null, "}");
        }
    }

    private static bool IsWhole(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 1000 });
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
