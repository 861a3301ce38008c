using TrainServe.Core.Tokenization;

namespace TrainServe.Core.Chat;

/// <summary>Lays out a conversation as tokens: the one implementation that training and serving share.</summary>
/// <remarks>
/// The template's own parts are control tokens, put in by id; what people and models wrote is always plain text. So a message can spell
/// <c>&lt;|assistant|&gt;</c> without becoming one. The prompt of a conversation's beginning is always a prefix of the encoding of the whole.
/// </remarks>
public abstract class ChatTemplate
{
    private protected ChatTemplate(TextTokenizer tokenizer) => Tokenizer = tokenizer;

    /// <summary>The layout as Hugging Face's users get it, in <c>tokenizer_config.json</c>.</summary>
    public abstract string Jinja { get; }

    /// <summary>What it is called in messages: <c>trainserve</c> or <c>plain</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Tokens that end the assistant's turn, or the text.</summary>
    public abstract IReadOnlyList<int> StopTokenIds { get; }

    private protected TextTokenizer Tokenizer { get; }

    /// <summary>Role tokens around each message.</summary>
    /// <exception cref="InvalidDataException">The tokenizer lacks one of the control tokens.</exception>
    public static ChatTemplate TrainServe(TextTokenizer tokenizer) => new TrainServeTemplate(tokenizer);

    /// <summary>No roles: for a model that only continues text.</summary>
    public static ChatTemplate Plain(TextTokenizer tokenizer) => new PlainTemplate(tokenizer);

    /// <summary>The template that a model directory's <c>tokenizer_config.json</c> names; <see cref="Plain"/> when it names none.</summary>
    /// <exception cref="InvalidDataException">It holds a template that is not implemented.</exception>
    public static ChatTemplate Load(string directory, TextTokenizer tokenizer) => Of(TokenizerConfig.Read(directory), directory, tokenizer);

    /// <inheritdoc cref="Load"/>
    internal static ChatTemplate Of(TokenizerConfig config, string directory, TextTokenizer tokenizer)
    {
        string? jinja = config.ChatTemplate;
        return jinja switch
        {
            null => Plain(tokenizer),
            _ when Same(jinja, TrainServeTemplate.Text) => TrainServe(tokenizer),
            _ when Same(jinja, PlainTemplate.Text) => Plain(tokenizer),
            _ => throw new InvalidDataException($"{Path.Combine(directory, TokenizerConfig.FileName)}: chat_template is none of the templates that this program knows (trainserve, plain), and it runs no other."),
        };
    }

    /// <summary>A whole conversation for training.</summary>
    /// <exception cref="InvalidDataException">The conversation breaks a rule of <see cref="ConversationRules"/>.</exception>
    public EncodedConversation Encode(IReadOnlyList<ChatMessage> messages)
    {
        ConversationRules.RequireTrainable(messages);
        var builder = new Builder();
        Begin(builder);
        for (int i = 0; i < messages.Count; i++)
        {
            Append(builder, messages[i], isFirst: i == 0, isLast: i == messages.Count - 1);
        }
        return new EncodedConversation([.. builder.Ids], [.. builder.LossMask]);
    }

    /// <summary>A conversation up to the point where the assistant is to speak.</summary>
    /// <exception cref="InvalidDataException">The conversation is empty, or the assistant spoke last.</exception>
    public int[] EncodePrompt(IReadOnlyList<ChatMessage> messages)
    {
        ConversationRules.RequireAnswerable(messages);
        var builder = new Builder();
        Begin(builder);
        for (int i = 0; i < messages.Count; i++)
        {
            Append(builder, messages[i], isFirst: i == 0, isLast: false);
        }
        AppendGenerationPrompt(builder);
        return [.. builder.Ids];
    }

    private protected abstract void Begin(Builder builder);
    private protected abstract void Append(Builder builder, ChatMessage message, bool isFirst, bool isLast);
    private protected abstract void AppendGenerationPrompt(Builder builder);

    private protected void AppendText(Builder builder, string text, bool learned, bool atStart = true)
    {
        Tokenizer.Encode(text, builder.Ids, atStart);
        builder.FillMask(learned);
    }

    private static bool Same(string one, string other) =>
        string.Equals(one.ReplaceLineEndings("\n").Trim(), other.ReplaceLineEndings("\n").Trim(), StringComparison.Ordinal);

    private protected sealed class Builder
    {
        public List<int> Ids { get; } = [];
        public List<bool> LossMask { get; } = [];

        public void Append(int id, bool learned)
        {
            Ids.Add(id);
            LossMask.Add(learned);
        }

        /// <summary>Marks the ids that were added since the mask was last as long.</summary>
        public void FillMask(bool learned)
        {
            while (LossMask.Count < Ids.Count)
            {
                LossMask.Add(learned);
            }
        }
    }
}
