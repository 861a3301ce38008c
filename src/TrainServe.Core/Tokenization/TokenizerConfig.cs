using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using TrainServe.Core.IO;

namespace TrainServe.Core.Tokenization;

/// <summary>The part of Hugging Face's <c>tokenizer_config.json</c> that matters here.</summary>
public sealed record TokenizerConfig
{
    public const string FileName = "tokenizer_config.json", TemplateFileName = "chat_template.jinja";

    // What Python makes of int(1e30), by which transformers says that there is no limit.
    private const string NoLimit = "1000000000000000019884624838656";

    public string? BosToken { get; init; }
    public string? EosToken { get; init; }
    public string? PadToken { get; init; }

    /// <summary>The Jinja text that lays out a conversation; null for a model that has none.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>The longest context in tokens; null when the file does not say.</summary>
    public int? ModelMaxLength { get; init; }

    /// <summary>Reads a directory's file; an empty config when there is none.</summary>
    /// <param name="directory">A tokenizer's, or a model's.</param>
    /// <param name="readTemplateFile">Whether <c>chat_template.jinja</c> counts where the config has no template.</param>
    /// <exception cref="InvalidDataException">The file is not what Hugging Face's library would read.</exception>
    public static TokenizerConfig Read(string directory, bool readTemplateFile = true)
    {
        string path = Path.Combine(directory, FileName), template = Path.Combine(directory, TemplateFileName);
        var config = File.Exists(path) ? Parse(JsonField.ReadFile(path, out _)) : new TokenizerConfig();
        return readTemplateFile && config.ChatTemplate is null && File.Exists(template) ? config with { ChatTemplate = File.ReadAllText(template) } : config;
    }

    /// <summary>Writes the file beside a tokenizer's <c>tokenizer.json</c>, so that Python's transformers loads both.</summary>
    public void Write(string directory, SpecialTokens special)
    {
        var decoder = new JsonObject();
        foreach (var (content, id) in special.Ids.OrderBy(pair => pair.Value))
        {
            decoder[id.ToString(System.Globalization.CultureInfo.InvariantCulture)] = new JsonObject
            {
                ["content"] = content,
                ["lstrip"] = false,
                ["normalized"] = false,
                ["rstrip"] = false,
                ["single_word"] = false,
                ["special"] = true,
            };
        }
        var root = new JsonObject
        {
            ["tokenizer_class"] = "PreTrainedTokenizerFast",
            ["add_bos_token"] = false,
            ["add_prefix_space"] = false,
            ["added_tokens_decoder"] = decoder,
            ["additional_special_tokens"] = new JsonArray([.. special.Ids.OrderBy(pair => pair.Value).Select(pair => pair.Key)
                .Where(content => content != BosToken && content != EosToken && content != PadToken).Select(content => (JsonNode)content)]),
            ["bos_token"] = BosToken,
            ["eos_token"] = EosToken,
            ["pad_token"] = PadToken,
            ["unk_token"] = null,
            ["clean_up_tokenization_spaces"] = false,
            ["model_max_length"] = ModelMaxLength is { } length ? length : JsonNode.Parse(NoLimit),
        };
        if (ChatTemplate is not null)
        {
            root["chat_template"] = ChatTemplate;
        }
        string text = root.ToJsonString(new JsonSerializerOptions { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        DurableFile.Write(Path.Combine(directory, FileName), System.Text.Encoding.UTF8.GetBytes(text + "\n"));
    }

    private static TokenizerConfig Parse(JsonField root)
    {
        var length = root["model_max_length"].Value;
        return new TokenizerConfig
        {
            BosToken = TokenText(root["bos_token"]),
            EosToken = TokenText(root["eos_token"]),
            PadToken = TokenText(root["pad_token"]),
            ChatTemplate = TemplateText(root["chat_template"]),
            ModelMaxLength = length.ValueKind == JsonValueKind.Number && length.TryGetInt32(out int tokens) ? tokens : null,
        };
    }

    // A token is its text, or an object with "content".
    private static string? TokenText(JsonField token) => token.Value.ValueKind == JsonValueKind.Object ? token["content"].Text : token.OptionalText;

    // A template is its text, or a list of named ones of which "default" counts.
    private static string? TemplateText(JsonField template) => template.Value.ValueKind == JsonValueKind.Array
        ? template.Items().Where(item => item["name"].Text == "default").Select(item => item["template"].Text).FirstOrDefault() ?? throw template.Refused("has no template named default")
        : template.OptionalText;
}
