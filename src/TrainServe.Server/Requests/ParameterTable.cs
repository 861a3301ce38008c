using System.Collections.Frozen;

namespace TrainServe.Server.Requests;

/// <summary>Every parameter that a route's body may have and what becomes of it: read, validated and documented from here.</summary>
/// <remarks>A name that is not here is an error; null always means "not sent".</remarks>
/// <param name="route">As <c>POST /v1/chat/completions</c>.</param>
/// <param name="all">The rows in the order in which they are documented.</param>
internal sealed class ParameterTable(string route, params Parameter[] all)
{
    private readonly FrozenDictionary<string, Parameter> _byName = all.ToFrozenDictionary(parameter => parameter.Name, StringComparer.Ordinal);

    public string Route { get; } = route;
    public IReadOnlyList<Parameter> All => all;

    public Parameter? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>Reads and checks a body, field by field.</summary>
    /// <param name="utf8">The body.</param>
    /// <param name="mostMessages">More messages than this are refused.</param>
    /// <param name="empty">The request that says nothing.</param>
    /// <exception cref="InvalidRequestException">Something in it breaks a rule; the message says what.</exception>
    public T Read<T>(ReadOnlySpan<byte> utf8, int mostMessages, T empty) where T : RequestFields
    {
        var json = new JsonRequestReader(utf8) { MostMessages = mostMessages };
        RequestFields request = empty;
        json.EnterObject();
        while (json.NextProperty(out string name))
        {
            var parameter = Find(name) ?? throw json.UnknownParameter();
            request = parameter.Read(ref json, request);
        }
        json.End();
        return (T)request;
    }
}
