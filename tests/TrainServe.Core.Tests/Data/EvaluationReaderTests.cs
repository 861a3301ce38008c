using TrainServe.Core.Data;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Data;

public sealed class EvaluationReaderTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("""{"sentence_good":"They sing.","sentence_bad":"They sings.","UID":"agreement"}""", "", "They sing.", "agreement", 0)]
    [InlineData("""{"query":"The man turned on the tap, therefore","choices":["it broke.","water came."],"gold":1}""", "The man turned on the tap, therefore", " water came.", null, 1)]
    [InlineData("""{"query":"Question: Why?","choices":["So.","Because."],"gold":0}""", "Question: Why?\nAnswer:", " So.", null, 0)]
    [InlineData("""{"query":"Question: Why?\nAnswer:","choices":["So.","Because."],"gold":0}""", "Question: Why?\nAnswer:", " So.", null, 0)]
    [InlineData("""{"question":"2+2? ","choices":["3","4"],"answer":1,"subject":"sums"}""", "2+2?\nA. 3\nB. 4\nAnswer:", " B", "sums", 1)]
    [InlineData("""{"context_options":["Ann left because Ann","Ann left because Bob"],"continuation":"was tired.","gold":0}""", "Ann left because Ann", " was tired.", null, 0)]
    [InlineData("""{"activity_label":"Pole vault","ctx_a":"Run [header] and jump.","ctx_b":"a few Women","endings":["go [title] down","sit"],"label":"0"}""", "Pole vault: Run and jump. A few women", " go. down", null, 0)]
    [InlineData("""{"context":"I saw a boy.","question":"Who ran?","ans0":"The boy","ans1":"The girl","ans2":"Unknown","label":2,"context_condition":"ambig"}""", "I saw a boy.\nQ: Who ran?\nA:", " Unknown", "ambig", 2)]
    [InlineData("""{"prompt":"Choose:","corrects":[" (B)"],"incorrects":[" (A)"]}""", "Choose:", " (B)", null, 0)]
    [InlineData("""{"question":"Would you?","answer_matching_behavior":" Yes","answer_not_matching_behavior":" No"}""", "\n\nHuman: Would you?\n\nAssistant:", " Yes", null, 0)]
    [InlineData("""{"context":"The end of the","continuation":"story"}""", "The end of the", " story", null, 0)]
    public void A_record_is_laid_out_as_the_harness_does(string record, string context, string continuation, string? group, int gold)
    {
        var item = Assert.Single(EvaluationReader.Read(_directory.WriteText("task.jsonl", record + "\n"), BadRecords.Strict()));
        Assert.Equal(gold, item.Gold);
        Assert.Equal(context, item.Options[gold].Context);
        Assert.Equal(continuation, item.Options[gold].Continuation);
        Assert.Equal(group, item.Group);
    }

    [Theory]
    [InlineData("""{"query":"Q","choices":["a","b"],"gold":2}""", "task.jsonl:1: the right answer is number 2, and there are 2")]
    [InlineData("""{"query":"Q","choices":["a","b"]}""", "task.jsonl:1: the field 'gold' is missing")]
    [InlineData("""{"query":"Q","choices":"ab","gold":0}""", "task.jsonl:1: the field 'choices' must be a list")]
    [InlineData("""{"riddle":"Q"}""", "task.jsonl:1: the record has the fields riddle, which is none of the known formats")]
    public void A_bad_record_is_named_by_file_and_line(string record, string fault) =>
        Assert.Contains(fault, Assert.Throws<InvalidDataException>(() => EvaluationReader.Read(_directory.WriteText("task.jsonl", record + "\n"), BadRecords.Strict()).ToList()).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("eval/blimp.jsonl.gz", 2)]
    [InlineData("eval/arc_easy.jsonl.gz", 4)]
    [InlineData("eval/piqa.jsonl.gz", 2)]
    [InlineData("eval/hellaswag.jsonl.gz", 4)]
    [InlineData("eval/lambada_openai.jsonl.gz", 1)]
    [InlineData("eval/mmlu.val.jsonl.gz", 4)]
    [InlineData("eval/winogrande.jsonl.gz", 2)]
    [InlineData("eval/bbq/Age.jsonl.gz", 3)]
    [InlineData("constitutional-ai/evals/HarmfulVsEthical.jsonl.gz", 2)]
    public void Every_question_of_a_public_task_can_be_read(string file, int options) =>
        Assert.Equal(options, EvaluationReader.Read(SharedData.File(file), BadRecords.Strict()).Max(item => item.Options.Count));
}
