using TrainServe.Core.Tokenization;

namespace TrainServe.Core.Chat;

/// <summary><c>&lt;|endoftext|&gt;</c>, then <c>&lt;|role|&gt;content&lt;|end|&gt;</c> for each message; <c>&lt;|assistant|&gt;</c> asks for an answer.</summary>
/// <remarks>The assistant's calls follow its content, each as <c>&lt;|tool_call|&gt;{"name": "NAME", "arguments": ARGUMENTS}</c>.</remarks>
internal sealed class TrainServeTemplate : ChatTemplate
{
    public const string Text =
        """
        {{- '<|endoftext|>' }}
        {%- for message in messages %}
            {{- '<|' + message['role'] + '|>' + (message['content'] or '') }}
            {%- if message['role'] == 'assistant' and message['tool_calls'] %}
                {%- for call in message['tool_calls'] %}
                    {%- set arguments = call['function']['arguments'] %}
                    {{- '<|tool_call|>{"name": "' + call['function']['name'] + '", "arguments": ' }}
                    {{- arguments if arguments is string else arguments | tojson }}
                    {{- '}' }}
                {%- endfor %}
            {%- endif %}
            {{- '<|end|>' }}
        {%- endfor %}
        {%- if add_generation_prompt %}
            {{- '<|assistant|>' }}
        {%- endif %}
        """;

    private readonly int _begin, _end, _toolCall;
    private readonly int[] _roles;

    public TrainServeTemplate(TextTokenizer tokenizer)
        : base(tokenizer)
    {
        _begin = Control(SpecialTokens.EndOfText);
        _end = Control(SpecialTokens.End);
        _toolCall = Control(SpecialTokens.ToolCall);
        _roles = [.. Enum.GetValues<ChatRole>().Select(role => Control($"<|{role.Name()}|>"))];
        StopTokenIds = [_end, _begin];
    }

    public override string Jinja => Text;
    public override string Name => "trainserve";
    public override IReadOnlyList<int> StopTokenIds { get; }

    private protected override void Begin(Builder builder) => builder.Append(_begin, learned: false);

    private protected override void Append(Builder builder, ChatMessage message, bool isFirst, bool isLast)
    {
        bool learned = message.Role == ChatRole.Assistant;
        builder.Append(_roles[(int)message.Role], learned: false);
        AppendText(builder, message.Content, learned);
        foreach (var call in message.ToolCalls ?? [])
        {
            builder.Append(_toolCall, learned);
            AppendText(builder, $"{{\"name\": \"{call.Name}\", \"arguments\": {call.Arguments}}}", learned);
        }
        builder.Append(_end, learned);
    }

    private protected override void AppendGenerationPrompt(Builder builder) => builder.Append(_roles[(int)ChatRole.Assistant], learned: false);

    private int Control(string content) => Tokenizer.Special.TryGetId(content)
        ?? throw new InvalidDataException($"The tokenizer has no control token {content}, which the trainserve chat template needs.");
}
