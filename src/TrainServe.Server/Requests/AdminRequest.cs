using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary>Which model an operator means.</summary>
internal sealed record AdminRequest : RequestFields
{
    public string? Alias { get; init; }

    public static ParameterTable LoadTable { get; } = new("POST /admin/load", Directory("The name of a directory below the models directory."));
    public static ParameterTable ReloadTable { get; } = new("POST /admin/reload", Directory("The name of a model that is served."));
    public static ParameterTable UnloadTable { get; } = new("POST /admin/unload", Directory("The name of a model that is served."));
    public static ParameterTable AliasTable { get; } = new("POST /admin/alias",
        Required<AdminRequest>("alias", "Another name for a model.", (ref json, request) => request with { Alias = json.ReadString(128) }),
        Honoured<AdminRequest>("model", "The model that answers to it from now on; null takes the name away.", (ref json, request) => request with { Model = json.ReadString() }));

    public static AdminRequest Parse(ParameterTable table, ReadOnlySpan<byte> utf8)
    {
        var request = table.Read(utf8, 0, new AdminRequest());
        return ReferenceEquals(table, AliasTable)
            ? request.Alias is { Length: > 0 } ? request : throw InvalidRequestException.Missing("alias")
            : request.Model is not null ? request : throw InvalidRequestException.Missing("model");
    }

    private static Parameter Directory(string effect) =>
        Honoured<AdminRequest>("model", effect, (ref json, request) => request with { Model = json.ReadString() }) with { Required = true };
}
