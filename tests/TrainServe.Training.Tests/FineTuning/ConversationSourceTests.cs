using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;
using TrainServe.Training.Data;
using TrainServe.Training.FineTuning;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Tests.FineTuning;

public sealed class ConversationSourceTests : IDisposable
{
    private const int Pad = 257, System = 258, User = 259, Assistant = 260, End = 263;
    private readonly TemporaryDirectory _directory = new();
    private readonly TextTokenizer _tokenizer;
    private readonly ChatTemplate _template;

    public ConversationSourceTests()
    {
        _tokenizer = ByteTokenizer.Write(_directory.PathOf("tokenizer"));
        _template = ChatTemplate.Load(_directory.PathOf("tokenizer"), _tokenizer);
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Only_the_assistants_tokens_and_the_end_of_its_turn_are_learned()
    {
        var source = Source([Talk("ab", "cd")], columns: 12);
        var (inputs, targets, segments) = Read(source, 0, 12);
        Assert.Equal([256, User, 'a', 'b', End, Assistant, 'c', 'd', Pad, Pad, Pad, Pad], inputs);
        const int no = TokenBatch.Ignored;
        Assert.Equal([no, no, no, no, no, 'c', 'd', End, no, no, no, no], targets);
        Assert.Equal([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1], segments);
    }

    [Fact]
    public void Every_turn_of_the_assistant_is_learned_and_what_the_system_says_is_not()
    {
        var encoded = _template.Encode([ChatMessage.System("s"), ChatMessage.User("u"), ChatMessage.Assistant("x"), ChatMessage.User("v"), ChatMessage.Assistant("y")]);
        var source = Source([new TrainingConversation(encoded.Ids, encoded.LossMask, new RecordOrigin("f", 1))], columns: 16);
        var (inputs, targets, _) = Read(source, 0, 16);
        Assert.Equal(System, inputs[1]);
        Assert.Equal(['x', End, 'y', End], targets.Where(target => target != TokenBatch.Ignored));
    }

    [Fact]
    public void Conversations_share_a_row_as_texts_of_their_own_and_the_row_names_them_all()
    {
        var source = Source([Talk("ab", "cd", 1), Talk("e", "f", 2), Talk("g", "h", 3)], columns: 15, seed: null);
        Assert.Equal(2, source.RowsPerEpoch);
        var (inputs, _, segments) = Read(source, 0, 15);
        Assert.Equal([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2], segments);
        Assert.Equal(256, inputs[8]);
        Assert.Equal("f:1+f:2", source.Read(0, new int[15], new int[15], new int[15]));
    }

    [Fact]
    public void An_epoch_holds_every_conversation_once_and_the_next_one_in_another_order()
    {
        var conversations = Enumerable.Range(0, 60).Select(i => Talk(new string('q', 1 + i % 7), $"{i}", i)).ToList();
        var source = Source(conversations, columns: 40);
        var epochs = new List<string>[2];
        long row = 0;
        for (int epoch = 0; epoch < 2; epoch++)
        {
            epochs[epoch] = [];
            while (epochs[epoch].Count < 60)
            {
                epochs[epoch].AddRange(source.Read(row++, new int[40], new int[40], new int[40]).Split('+'));
            }
            Assert.Equal(conversations.Select(conversation => conversation.Origin.ToString()).Order(), epochs[epoch].Order());
        }
        Assert.NotEqual(epochs[0], epochs[1]);
        Assert.Equal(Read(Source(conversations, columns: 40), row - 1, 40).Inputs, Read(source, row - 1, 40).Inputs);
    }

    [Fact]
    public void An_over_long_conversation_is_dropped_or_cut_and_counted()
    {
        var talk = new Conversation([ChatMessage.User("ab"), ChatMessage.Assistant("cdefgh")], new RecordOrigin("f", 1));
        var counts = new LengthCounts();
        Assert.Null(new ConversationEncoder(_template, 8, OverLongRule.Drop).Encode(talk, counts));
        Assert.Equal((1, 0), (counts.Dropped, counts.Cut));
        var cut = new ConversationEncoder(_template, 8, OverLongRule.Cut).Encode(talk, counts)!;
        Assert.Equal((8, 3), (cut.Columns, cut.LearnedTokens));
        Assert.Equal((1, 1), (counts.Dropped, counts.Cut));
        // What would stay has nothing to learn.
        Assert.Null(new ConversationEncoder(_template, 4, OverLongRule.Cut).Encode(talk, counts));
        Assert.Equal((2, 1), (counts.Dropped, counts.Cut));
        // 13 tokens take 12 places: they fit exactly.
        Assert.Equal(12, new ConversationEncoder(_template, 12, OverLongRule.Drop).Encode(talk, counts)!.Columns);
    }

    [Fact]
    public void Without_a_conversation_that_fits_there_is_nothing_to_train_on() => Assert.Equal(
        "talks has no conversation of at most 9 tokens to train on. Raise data.sequence_length, or set data.over_long to cut.",
        Assert.Throws<InvalidDataException>(() => new ConversationSource("talks", [], 8, Pad, 1, 0)).Message);

    [Fact]
    public void The_preview_marks_what_is_learned_and_leaves_padding_out()
    {
        var mixture = new RowMixture([Source([Talk("ab", "cd"), Talk("e", "f")], columns: 20, seed: null)], [1], 20);
        Assert.Equal("<|endoftext|><|user|>ab<|end|><|assistant|>⟦cd<|end|>⟧\n<|endoftext|><|user|>e<|end|><|assistant|>⟦f<|end|>⟧\n",
            MaskPreview.Of(mixture.Read(mixture.Start, 1), _tokenizer, texts: 5));
    }

    private TrainingConversation Talk(string question, string answer, int line = 1)
    {
        var encoded = _template.Encode([ChatMessage.User(question), ChatMessage.Assistant(answer)]);
        return new TrainingConversation(encoded.Ids, encoded.LossMask, new RecordOrigin("f", line));
    }

    private static ConversationSource Source(IReadOnlyList<TrainingConversation> conversations, int columns, ulong? seed = 1) => new("talks", conversations, columns, Pad, seed, 0);

    private static (int[] Inputs, int[] Targets, int[] Segments) Read(ConversationSource source, long row, int columns)
    {
        int[] inputs = new int[columns], targets = new int[columns], segments = new int[columns];
        source.Read(row, inputs, targets, segments);
        return (inputs, targets, segments);
    }
}
