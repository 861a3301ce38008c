using TrainServe.Core.Tokenization;

namespace TrainServe.Core.Chat;

/// <summary>The contents, one line break between two, after the token that begins a text: for models that only continue text.</summary>
/// <remarks>An answer goes straight on from the last message. In training the token that ends a text follows the last answer.</remarks>
internal sealed class PlainTemplate(TextTokenizer tokenizer) : ChatTemplate(tokenizer)
{
    public const string Text = "{{- bos_token }}{%- for message in messages %}{{- message['content'] or '' }}{%- if not loop.last %}{{- '\\n' }}{%- endif %}{%- endfor %}";

    public override string Jinja => Text;
    public override string Name => "plain";

    public override IReadOnlyList<int> StopTokenIds { get; } = StopTokensOf(tokenizer.Special);

    private protected override void Begin(Builder builder)
    {
        if (Tokenizer.Special.HasBos)
        {
            builder.Append(Tokenizer.Special.BosId, learned: false);
        }
    }

    // The line break is encoded for itself, so that the tokens before it are those of the prompt that ends there.
    private protected override void Append(Builder builder, ChatMessage message, bool isFirst, bool isLast)
    {
        bool learned = message.Role == ChatRole.Assistant;
        if (!isFirst)
        {
            AppendText(builder, "\n", learned: false, atStart: false);
        }
        AppendText(builder, message.Content, learned, atStart: isFirst);
        if (isLast && learned && Tokenizer.Special.HasEos)
        {
            builder.Append(Tokenizer.Special.EosId, learned: true);
        }
    }

    private protected override void AppendGenerationPrompt(Builder builder)
    {
    }

    // Models of plain text separate documents by either token.
    private static int[] StopTokensOf(SpecialTokens special) =>
        [.. new[] { special.HasEos ? special.EosId : -1, special.HasBos ? special.BosId : -1 }.Where(id => id >= 0).Distinct()];
}
