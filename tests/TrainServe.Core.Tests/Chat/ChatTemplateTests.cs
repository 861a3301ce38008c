using CsCheck;
using TrainServe.Core.Chat;
using TrainServe.Core.Tests.Tokenization;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Chat;

public class ChatTemplateTests
{
    private static readonly TextTokenizer Tokenizer = SmallTokenizers.Ours;
    private static readonly ChatTemplate Template = ChatTemplate.TrainServe(Tokenizer);

    private static readonly Gen<ChatMessage[]> Conversations =
        from system in Texts.Any.Array[0, 1]
        from turns in Gen.Select(Texts.Any, Texts.Any.Where(text => !string.IsNullOrWhiteSpace(text))).Array[1, 4]
        select (ChatMessage[])[.. system.Select(ChatMessage.System), .. turns.SelectMany(turn => new[] { ChatMessage.User(turn.Item1), ChatMessage.Assistant(turn.Item2) })];

    [Fact]
    public void A_conversation_is_laid_out_with_role_and_end_tokens()
    {
        var encoded = Template.Encode([ChatMessage.System("the"), ChatMessage.User(" cat"), ChatMessage.Assistant(" sat"), ChatMessage.User(" on"), ChatMessage.Assistant(" mat")]);
        Assert.Equal("<|endoftext|><|system|>the<|end|><|user|> cat<|end|><|assistant|> sat<|end|><|user|> on<|end|><|assistant|> mat<|end|>", Tokenizer.Decode(encoded.Ids, skipSpecial: false));
    }

    [Fact]
    public void Loss_is_on_what_the_assistant_says_and_on_the_token_that_ends_its_turn()
    {
        var encoded = Template.Encode([ChatMessage.User(" cat"), ChatMessage.Assistant(" sat on"), ChatMessage.User(" cat"), ChatMessage.Assistant(" mat")]);
        int[] learned = [.. encoded.Ids.Where((_, i) => encoded.LossMask[i])];
        Assert.Equal(" sat on<|end|> mat<|end|>", Tokenizer.Decode(learned, skipSpecial: false));
        Assert.Equal(5, encoded.LearnedTokens);
    }

    [Fact]
    public void A_prompt_ends_where_the_assistant_is_to_speak() =>
        Assert.Equal("<|endoftext|><|user|> cat<|end|><|assistant|>", Tokenizer.Decode(Template.EncodePrompt([ChatMessage.User(" cat")]), skipSpecial: false));

    [Fact]
    public void The_prompt_of_a_beginning_is_a_prefix_of_the_whole()
    {
        foreach (var template in new[] { Template, ChatTemplate.Plain(Tokenizer), ChatTemplate.Plain(SmallTokenizers.SentencePiece) })
        {
            Conversations.Sample(messages =>
            {
                int[] whole = template.Encode(messages).Ids;
                for (int count = 1; count < messages.Length; count++)
                {
                    if (messages[count].Role == ChatRole.Assistant)
                    {
                        int[] prompt = template.EncodePrompt(messages[..count]);
                        Assert.Equal(prompt, whole[..prompt.Length]);
                    }
                }
            }, iter: 500);
        }
    }

    [Fact]
    public void Content_never_becomes_a_control_token_in_any_role()
    {
        var spelled = Texts.OneOf([.. SpecialTokens.Ours, "<|", "x", "\n"]).Array[1, 6].Select(string.Concat);
        Gen.Select(spelled, spelled, spelled, spelled).Sample((system, user, call, tool) =>
        {
            ChatMessage[] messages =
            [
                ChatMessage.System(system), ChatMessage.User(user),
                new ChatMessage(ChatRole.Assistant, user) { ToolCalls = [new ToolCall("1", "look", call)] },
                new ChatMessage(ChatRole.Tool, tool), ChatMessage.Assistant(system + "."),
            ];
            var encoded = Template.Encode(messages);
            // 1 begin, 5 roles, 5 ends, 1 call.
            Assert.Equal(12, encoded.Ids.Count(Tokenizer.Special.IsSpecial));
        }, iter: 2000);
    }

    [Fact]
    public void A_tool_call_follows_the_content_and_is_learned()
    {
        var call = new ChatMessage(ChatRole.Assistant, "Let me see.") { ToolCalls = [new ToolCall("1", "weather", """{"city":"Oslo"}""")] };
        var encoded = Template.Encode([ChatMessage.User("Cold?"), call, new ChatMessage(ChatRole.Tool, "-3"), ChatMessage.Assistant("Yes.")]);
        Assert.Equal(
            """<|endoftext|><|user|>Cold?<|end|><|assistant|>Let me see.<|tool_call|>{"name": "weather", "arguments": {"city":"Oslo"}}<|end|><|tool|>-3<|end|><|assistant|>Yes.<|end|>""",
            Tokenizer.Decode(encoded.Ids, skipSpecial: false));
        Assert.Equal("""Let me see.<|tool_call|>{"name": "weather", "arguments": {"city":"Oslo"}}<|end|>Yes.<|end|>""", Tokenizer.Decode([.. encoded.Ids.Where((_, i) => encoded.LossMask[i])], skipSpecial: false));
    }

    [Fact]
    public void Generation_stops_at_the_end_of_the_turn_or_of_the_text() =>
        Assert.Equal([Tokenizer.Special.TryGetId("<|end|>")!.Value, Tokenizer.Special.EosId], Template.StopTokenIds);

    [Fact]
    public void The_plain_template_is_the_text_alone()
    {
        var plain = ChatTemplate.Plain(Tokenizer);
        Assert.Equal([Tokenizer.Special.BosId, .. Tokenizer.Encode("Once upon")], plain.EncodePrompt([ChatMessage.User("Once upon")]));
        var encoded = plain.Encode([ChatMessage.User("Once"), ChatMessage.Assistant(" upon")]);
        Assert.Equal("<|endoftext|>Once\n upon<|endoftext|>", Tokenizer.Decode(encoded.Ids, skipSpecial: false));
        Assert.Equal(" upon<|endoftext|>", Tokenizer.Decode([.. encoded.Ids.Where((_, i) => encoded.LossMask[i])], skipSpecial: false));
    }

    [Fact]
    public void A_tokenizer_without_the_control_tokens_is_refused() =>
        Assert.Contains("<|endoftext|>", Assert.Throws<InvalidDataException>(() => ChatTemplate.TrainServe(SmallTokenizers.SentencePiece)).Message);

    [Fact]
    public void A_written_template_is_recognised_and_an_unknown_one_refused()
    {
        string directory = Directory.CreateTempSubdirectory("trainserve-chat-").FullName;
        try
        {
            Assert.Equal("plain", ChatTemplate.Load(directory, Tokenizer).Name);
            foreach (var template in new[] { Template, ChatTemplate.Plain(Tokenizer) })
            {
                new TokenizerConfig { BosToken = "<|endoftext|>", EosToken = "<|endoftext|>", PadToken = "<|pad|>", ChatTemplate = template.Jinja }.Write(directory, Tokenizer.Special);
                Assert.Equal(template.Name, ChatTemplate.Load(directory, Tokenizer).Name);
            }
            File.WriteAllText(Path.Combine(directory, "tokenizer_config.json"), """{"chat_template": "{{ messages }}"}""");
            Assert.Contains("chat_template", Assert.Throws<InvalidDataException>(() => ChatTemplate.Load(directory, Tokenizer)).Message);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    public static TheoryData<ChatMessage[], string> Untrainable => new()
    {
        { [], "no messages" },
        { [ChatMessage.User("a")], "no assistant turn" },
        { [ChatMessage.Assistant("a")], "starts with assistant" },
        { [ChatMessage.User("a"), ChatMessage.User("b"), ChatMessage.Assistant("c")], "message 2: user follows user" },
        { [ChatMessage.User("a"), ChatMessage.Assistant("b"), ChatMessage.Assistant("c")], "assistant follows assistant" },
        { [ChatMessage.User("a"), ChatMessage.System("b"), ChatMessage.Assistant("c")], "system may only come first" },
        { [ChatMessage.User("a"), ChatMessage.Assistant("b"), new ChatMessage(ChatRole.Tool, "c"), ChatMessage.Assistant("d")], "calls no tool" },
        { [ChatMessage.User("a"), ChatMessage.Assistant("  ")], "empty turn of the assistant" },
        { [ChatMessage.User("a"), new ChatMessage(ChatRole.Assistant, "") { ToolCalls = [new ToolCall("1", "a b", "{}")] }], "'a b'" },
    };

    [Theory, MemberData(nameof(Untrainable))]
    public void A_conversation_that_cannot_be_trained_on_is_refused_with_the_reason(ChatMessage[] messages, string reason) =>
        Assert.Contains(reason, Assert.Throws<InvalidDataException>(() => Template.Encode(messages)).Message);

    [Fact]
    public void A_prompt_needs_something_to_answer()
    {
        Assert.Throws<InvalidDataException>(() => Template.EncodePrompt([]));
        Assert.Throws<InvalidDataException>(() => Template.EncodePrompt([ChatMessage.User("a"), ChatMessage.Assistant("b")]));
        Assert.NotEmpty(Template.EncodePrompt([ChatMessage.User("a"), ChatMessage.User("b")]));
    }
}
