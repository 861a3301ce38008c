using TrainServe.Core.Data;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Data;

/// <summary>Real files: every record is read, or left out for a reason that is known.</summary>
public class SharedCorporaTests
{
    [Theory]
    [InlineData("sft/oasst1-en.messages.jsonl.gz", 336)]
    [InlineData("sft/gpteacher-roleplay.json.gz", 1923)]
    [InlineData("sft/glaive-toolcall-en-demo.json.gz", 300)]
    [InlineData("sft/fairytaleqa.val.jsonl.gz", 1025)]
    [InlineData("sft/p3-t0.jsonl.gz", 19584)]
    public void Conversations_are_read_without_a_fault(string file, int count) =>
        Assert.Equal(count, ConversationReader.Read(SharedData.File(file), BadRecords.Strict()).Count());

    [Theory]
    [InlineData("prefs/tinystories-pairs.jsonl.gz", 2800, 0)]
    [InlineData("prefs/cai-pm-pairs.jsonl.gz", 7752, 0)]
    [InlineData("prefs/llamafactory-dpo-en-demo.json.gz", 300, 0)]
    [InlineData("prefs/ultrafeedback-1k.jsonl.gz", 994, 6)]
    [InlineData("prefs/hh-rlhf/helpful-base.jsonl.gz", 1966, 19)]
    public void Pairs_are_read_and_those_that_teach_nothing_left_out(string file, int good, int skipped)
    {
        var bad = BadRecords.Lenient();
        Assert.Equal(good, PreferenceReader.Read(SharedData.File(file), bad).Count());
        Assert.Equal(skipped, bad.Skipped);
    }

    [Theory]
    [InlineData("pretrain/tinystories.txt.gz", 3724)]
    [InlineData("pretrain/childrens-books.jsonl.gz", 71)]
    [InlineData("pretrain/fairytaleqa-stories.train.txt.gz", 232)]
    [InlineData("pretrain/tinyshakespeare.txt.gz", 1)]
    public void Documents_are_read(string file, int count) => Assert.Equal(count, DocumentReader.Read(SharedData.File(file), BadRecords.Strict()).Count());
}
