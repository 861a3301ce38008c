using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.TestSupport;
using TrainServe.Training.Alignment;

namespace TrainServe.Training.Tests.Alignment;

public sealed class PairEncoderTests
{
    [Fact]
    public void Both_answers_follow_the_same_tokens_of_the_prompt_and_end_with_the_turns_end()
    {
        using var directory = new TemporaryDirectory();
        var package = TinyPackages.Write(directory.PathOf("model"));
        var tokenizer = package.LoadTokenizer();
        var template = package.LoadChatTemplate(tokenizer);
        // The answers begin with what could have been one token with the prompt's end, were text joined before it is tokenized.
        var pair = new PairEncoder(template).Encode(new PreferencePair([ChatMessage.User("How are you?")], ChatMessage.Assistant("\n\nFine."), ChatMessage.Assistant("?"), default));
        int[] prompt = template.EncodePrompt([ChatMessage.User("How are you?")]);
        foreach (var answer in new[] { pair.Chosen, pair.Rejected })
        {
            Assert.Equal(prompt, answer.Ids[..answer.PromptLength]);
            Assert.Contains(answer.Ids[^1], template.StopTokenIds);
        }
        Assert.NotEqual(pair.Chosen.AnswerIds.ToArray(), pair.Rejected.AnswerIds.ToArray());
    }
}
