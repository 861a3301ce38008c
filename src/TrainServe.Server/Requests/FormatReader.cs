using System.Text.Json;
using TrainServe.Inference.Constraints;

namespace TrainServe.Server.Requests;

/// <summary>Reads what form an answer shall have; null for any text.</summary>
internal static class FormatReader
{
    private const int MostChoices = 1024;

    /// <summary>OpenAI's <c>response_format</c>, and the same without the inner object as the Responses API has it.</summary>
    public static GrammarNode? Read(ref JsonRequestReader json)
    {
        string? type = null;
        JsonElement? schema = null;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "type":
                    type = json.ReadOneOf("text", "json_object", "json_schema");
                    break;
                case "json_schema":
                    json.EnterObject();
                    while (json.NextProperty(out string inner))
                    {
                        ReadSchemaField(ref json, inner, ref schema);
                    }
                    break;
                default:
                    ReadSchemaField(ref json, key, ref schema);
                    break;
            }
        }
        return type switch
        {
            "text" => null,
            "json_object" => JsonGrammar.Object,
            "json_schema" => schema is { } given ? ToolReader.Grammar(given, at, "invalid_json_schema") : throw InvalidRequestException.Missing($"{at}.json_schema.schema"),
            _ => throw InvalidRequestException.Missing($"{at}.type"),
        };
    }

    /// <summary>An object with a <c>format</c> and one further setting that has only its usual value here.</summary>
    /// <param name="json">Before the object.</param>
    /// <param name="name">Of the parameter.</param>
    /// <param name="setting">Of the other setting.</param>
    /// <param name="usual">Its value.</param>
    public static GrammarNode? ReadSettings(ref JsonRequestReader json, string name, string setting, string usual)
    {
        GrammarNode? format = null;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            if (key == "format")
            {
                format = json.IsNull ? null : Read(ref json);
            }
            else if (key != setting)
            {
                throw json.UnknownParameter();
            }
            else if (!json.IsNull && json.ReadString() != usual)
            {
                throw InvalidRequestException.Unsupported($"{name}.{setting}", "models here have no such setting.");
            }
        }
        return format;
    }

    /// <summary>A schema, or the text of one.</summary>
    public static GrammarNode ReadSchema(ref JsonRequestReader json)
    {
        string at = json.Path!;
        if (!json.IsString)
        {
            return ToolReader.Grammar(json.ReadElement(), at, "invalid_json_schema");
        }
        try
        {
            using var schema = JsonDocument.Parse(json.ReadString());
            return ToolReader.Grammar(schema.RootElement.Clone(), at, "invalid_json_schema");
        }
        catch (JsonException)
        {
            throw json.Invalid("invalid_json_schema", $"Invalid '{at}': it is not JSON.");
        }
    }

    public static GrammarNode ReadRegex(ref JsonRequestReader json)
    {
        try
        {
            var grammar = RegexGrammar.Make(json.ReadString(), json: false);
            _ = new CompiledGrammar(grammar);
            return grammar;
        }
        catch (Exception error) when (error is FormatException or GrammarTooLargeException)
        {
            throw json.Invalid("invalid_value", $"Invalid '{json.Path}': {error.Message}");
        }
    }

    public static GrammarNode ReadChoice(ref JsonRequestReader json)
    {
        var choices = new List<string>();
        json.EnterArray("an array of strings");
        while (json.NextItem(MostChoices))
        {
            choices.Add(json.ReadString(1024));
        }
        return choices.Count > 0 ? GrammarNode.OneOf(choices.Select(GrammarNode.Text)) : throw json.Invalid("empty_array", $"Invalid '{json.Path}': empty array.");
    }

    /// <summary>vLLM's newer form: an object with one of json, regex, choice.</summary>
    public static GrammarNode ReadStructured(ref JsonRequestReader json)
    {
        GrammarNode? grammar = null;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            if (json.IsNull)
            {
                continue;
            }
            if (grammar is not null)
            {
                throw json.Invalid("invalid_parameter_combination", $"Invalid '{at}': it must have one form only.");
            }
            grammar = key switch
            {
                "json" => ReadSchema(ref json),
                "regex" => ReadRegex(ref json),
                "choice" => ReadChoice(ref json),
                "grammar" or "structural_tag" or "json_object" => throw InvalidRequestException.Unsupported(json.Path!, "there are json, regex and choice."),
                _ => throw json.UnknownParameter(),
            };
        }
        return grammar ?? throw InvalidRequestException.Missing($"{at}.json");
    }

    private static void ReadSchemaField(ref JsonRequestReader json, string key, ref JsonElement? schema)
    {
        switch (key)
        {
            case "name":
                if (json.ReadString() is { Length: 0 or > 64 })
                {
                    throw json.Invalid("invalid_value", $"Invalid '{json.Path}': a name has 1 to 64 characters.");
                }
                break;
            case "description":
                _ = json.IsNull ? "" : json.ReadString();
                break;
            case "strict":
                _ = !json.IsNull && json.ReadBoolean();
                break;
            case "schema":
                schema = json.ReadElement();
                break;
            default:
                throw json.UnknownParameter();
        }
    }
}
