using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Data;

public sealed class PromptReaderTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("""{"prompt":"Once"}""", "Once", null)]
    [InlineData("""{"prompt":"Once","chosen":"better","rejected":"worse"}""", "Once", null)]
    [InlineData("""{"prompt":[{"role":"user","content":"Once"}],"answer":"upon"}""", "Once", "upon")]
    [InlineData("""{"prompt":"\n\nHuman: Once\n\nAssistant:"}""", "Once", null)]
    [InlineData("""{"context":"1+1=","continuation":"2"}""", "1+1=", "2")]
    [InlineData("""{"question":"How many?","answer":"#### 3"}""", "How many?", "#### 3")]
    [InlineData("""{"messages":[{"role":"user","content":"Once"},{"role":"assistant","content":"upon"}]}""", "Once", "upon")]
    [InlineData("""{"chosen":"\n\nHuman: Once\n\nAssistant: upon","rejected":"\n\nHuman: Once\n\nAssistant: twice"}""", "Once", null)]
    public void A_prompt_is_found_in_every_format(string record, string content, string? answer)
    {
        var prompt = Assert.Single(PromptReader.Read(_directory.WriteText("prompts.jsonl", record + "\n"), BadRecords.Strict()));
        Assert.Equal(content, prompt.Messages[^1].Content);
        Assert.Equal(ChatRole.User, prompt.Messages[^1].Role);
        Assert.Equal(answer, prompt.Answer);
    }

    [Theory]
    [InlineData("""{"prompt":" "}""", "prompts.jsonl:1: the prompt is empty")]
    [InlineData("""{"prompt":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}""", "prompts.jsonl:1: the prompt ends with a turn of the assistant")]
    [InlineData("""{"riddle":"a"}""", "prompts.jsonl:1: the record has the fields riddle")]
    public void A_bad_prompt_is_named_by_file_and_line(string record, string fault) =>
        Assert.Contains(fault, Assert.Throws<InvalidDataException>(() => PromptReader.Read(_directory.WriteText("prompts.jsonl", record + "\n"), BadRecords.Strict()).ToList()).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"prompt":"Once","chosen":"better","rejected":"worse"}""", "better")]
    [InlineData("""{"chosen":"\n\nHuman: Once\n\nAssistant: upon","rejected":"\n\nHuman: Once\n\nAssistant: twice"}""", "upon")]
    public void The_better_answer_of_a_preference_record_can_be_fine_tuned_on(string record, string answer)
    {
        var conversation = Assert.Single(ConversationReader.Read(_directory.WriteText("pairs.jsonl", record + "\n"), BadRecords.Strict()));
        Assert.Equal(["Once", answer], conversation.Messages.Select(message => message.Content));
    }
}
