using System.Text.Json;
using TrainServe.Core.Chat;
using TrainServe.Inference.Constraints;

namespace TrainServe.Server.Requests;

/// <summary>Reads tools and the choice among them, as OpenAI's and Anthropic's clients write them.</summary>
internal static class ToolReader
{
    private const int MostTools = 128;

    public static bool IsName(string name) => name.Length is > 0 and <= 64 && name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.');

    /// <summary>OpenAI's: <c>{"type":"function","function":{...}}</c>; in the Responses API without the inner object.</summary>
    public static IReadOnlyList<Tool> ReadAll(ref JsonRequestReader json)
    {
        var tools = new List<Tool>();
        json.EnterArray("an array of objects");
        while (json.NextItem(MostTools))
        {
            tools.Add(ReadOne(ref json));
            RequireOnce(ref json, tools);
        }
        return tools;
    }

    /// <summary>Anthropic's: <c>{"name":...,"input_schema":...}</c>.</summary>
    public static IReadOnlyList<Tool> ReadAllOfAnthropic(ref JsonRequestReader json)
    {
        var tools = new List<Tool>();
        json.EnterArray("an array of objects");
        while (json.NextItem(MostTools))
        {
            tools.Add(ReadFunction(ref json, "input_schema"));
            RequireOnce(ref json, tools);
        }
        return tools;
    }

    /// <summary>none, auto, required, or the function to call.</summary>
    public static ToolChoice ReadChoice(ref JsonRequestReader json)
    {
        if (json.IsString)
        {
            return json.ReadOneOf("none", "auto", "required") switch
            {
                "none" => ToolChoice.None,
                "auto" => ToolChoice.Auto,
                _ => ToolChoice.Required,
            };
        }
        string? name = null;
        string at = json.Path!;
        json.EnterObject("a string or an object");
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "type":
                    if (json.ReadString() is not "function" and var type)
                    {
                        throw InvalidRequestException.Unsupported(json.Path!, $"there are functions only, not '{JsonRequestReader.Shown(type)}'.");
                    }
                    break;
                case "function":
                    json.EnterObject();
                    while (json.NextProperty(out string inner))
                    {
                        name = inner == "name" ? json.ReadString() : throw json.UnknownParameter();
                    }
                    break;
                case "name":
                    name = json.ReadString();
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        return new ToolChoice(ToolUse.Required, name ?? throw InvalidRequestException.Missing($"{at}.function.name"));
    }

    /// <summary>Anthropic's choice, and whether several calls at once are allowed.</summary>
    public static (ToolChoice Choice, bool Parallel) ReadChoiceOfAnthropic(ref JsonRequestReader json)
    {
        string? type = null, name = null;
        bool parallel = true;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "type":
                    type = json.ReadOneOf("auto", "any", "tool", "none");
                    break;
                case "name":
                    name = json.ReadString();
                    break;
                case "disable_parallel_tool_use":
                    parallel = !json.ReadBoolean();
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        return (type switch
        {
            "auto" => ToolChoice.Auto,
            "none" => ToolChoice.None,
            "any" => ToolChoice.Required,
            "tool" => new ToolChoice(ToolUse.Required, name ?? throw InvalidRequestException.Missing($"{at}.name")),
            _ => throw InvalidRequestException.Missing($"{at}.type"),
        }, parallel);
    }

    /// <summary>The grammar of a schema that a caller sent.</summary>
    /// <exception cref="InvalidRequestException">It cannot be used.</exception>
    public static GrammarNode Grammar(JsonElement schema, string param, string code)
    {
        try
        {
            var grammar = JsonSchemaGrammar.Make(schema);
            _ = new CompiledGrammar(grammar);
            return grammar;
        }
        catch (Exception error) when (error is JsonSchemaException or GrammarTooLargeException)
        {
            throw new InvalidRequestException($"Invalid schema for '{param}': {error.Message}", param, code);
        }
    }

    private static Tool ReadOne(ref JsonRequestReader json)
    {
        // Either {"type", "function": {...}} or {"type", "name", ...}; which, only the keys say.
        var look = json;
        bool nested = false;
        look.EnterObject();
        while (look.NextProperty(out string key))
        {
            nested |= key == "function";
            if (key == "type" && look.ReadString() is not "function" and var type)
            {
                throw InvalidRequestException.Unsupported(look.Path!, $"there are functions only, not '{JsonRequestReader.Shown(type)}'.");
            }
            look.Skip();
        }
        if (!nested)
        {
            return ReadFunction(ref json, "parameters");
        }
        Tool? tool = null;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            if (key == "function")
            {
                tool = ReadFunction(ref json, "parameters");
            }
            else if (key != "type")
            {
                throw json.UnknownParameter();
            }
        }
        return tool!;
    }

    private static Tool ReadFunction(ref JsonRequestReader json, string schemaName)
    {
        string? name = null, description = null;
        JsonElement? schema = null;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "name":
                    name = json.ReadString();
                    if (!IsName(name))
                    {
                        throw json.Invalid("invalid_value", $"Invalid '{json.Path}': a name has 1 to 64 letters, digits, '_', '-' and '.'.");
                    }
                    break;
                case "description":
                    description = json.IsNull ? null : json.ReadString();
                    break;
                case "strict":
                    _ = !json.IsNull && json.ReadBoolean();
                    break;
                case "type":
                    if (!json.IsNull && json.ReadString() is not ("function" or "custom") and var type)
                    {
                        throw InvalidRequestException.Unsupported(json.Path!, $"there are functions only, not '{JsonRequestReader.Shown(type)}'.");
                    }
                    break;
                case "cache_control" or "input_examples":
                    json.Skip();
                    break;
                case var _ when key == schemaName:
                    schema = json.IsNull ? null : json.ReadElement();
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        var grammar = schema is { } given ? Grammar(given, $"{at}.{schemaName}", "invalid_function_parameters") : GrammarNode.Text("{}");
        return new Tool(new ToolDefinition(name ?? throw InvalidRequestException.Missing($"{at}.name"), description, schema is { } shown ? JsonRequestReader.Compact(shown) : "{}"), grammar);
    }

    private static void RequireOnce(ref JsonRequestReader json, List<Tool> tools)
    {
        if (tools.Take(tools.Count - 1).Any(tool => tool.Name == tools[^1].Name))
        {
            throw json.Invalid("invalid_value", $"Invalid '{json.Path}': there is more than one tool of the name '{tools[^1].Name}'.");
        }
    }
}
