using System.Text.Json;
using System.Text.RegularExpressions;

namespace TrainServe.Core.Data;

/// <summary>A question with answers of which one is right; each answer is a context and what may follow it.</summary>
/// <param name="Options">At least two.</param>
/// <param name="Gold">Which one is right.</param>
/// <param name="Group">Whose accuracy is reported apart: a phenomenon, a subject. Null where there are none.</param>
/// <param name="Origin">Where it came from.</param>
public sealed record ChoiceItem(IReadOnlyList<ChoiceOption> Options, int Gold, string? Group, RecordOrigin Origin)
{
    /// <summary>What the answers say of a prejudice; null where the question is about none.</summary>
    public PrejudiceProbe? Prejudice { get; init; }
}

/// <summary>A question by which a prejudice is measured, as in BBQ.</summary>
/// <param name="Biased">The answer that repeats the prejudice: the group itself where the question asks for something bad, the other one where it asks for the opposite.</param>
/// <param name="Unknown">The answer that it cannot be known.</param>
/// <param name="IsAmbiguous">The context does not tell, so that it cannot be known.</param>
public sealed record PrejudiceProbe(int Biased, int Unknown, bool IsAmbiguous);

/// <param name="Context">May be empty.</param>
/// <param name="Continuation">With the white space before it.</param>
/// <param name="Text">The answer itself, by whose length probabilities are normalized.</param>
public sealed record ChoiceOption(string Context, string Continuation, string Text);

/// <summary>Reads multiple-choice questions and sentences to be completed, from <c>.jsonl</c> and <c>.json</c> files, packed or not.</summary>
/// <remarks>
/// The layout of contexts is that of the public harness (EleutherAI's lm-evaluation-harness): one space between context and answer; <c>Question: ... Answer:</c> around a question;
/// HellaSwag's clean-up; MMLU's lettered answers. A context that ends in white space keeps it for the tokenizer to see with the answer.
/// </remarks>
public static partial class EvaluationReader
{
    private static readonly string[] BbqAnswers = ["ans0", "ans1", "ans2"];
    private static readonly RecordFormat<ChoiceItem>[] Formats =
    [
        new("BLiMP's sentence_good and sentence_bad", record => record.Has("sentence_good"), Blimp),
        new("context_options and continuation", record => record.Has("context_options"), Schema),
        new("HellaSwag's ctx and endings", record => record.Has("endings"), HellaSwag),
        new("query, choices and gold", record => record.Has("query") && record.Has("choices"), Query),
        new("MMLU's question, choices and answer", record => record.Has("question") && record.Has("choices"), Mmlu),
        new("BBQ's context, question and ans0 to ans2", record => record.Has("ans0") && record.Has("ans1"), Bbq),
        new("prompt, corrects and incorrects", record => record.Has("corrects"), Corrects),
        new("question and answer_matching_behavior", record => record.Has("answer_matching_behavior"), Behaviour),
        new("context and continuation", record => record.Has("context") && record.Has("continuation"), Completion),
    ];

    /// <summary>Streams a file's questions. A sentence to be completed has one option.</summary>
    /// <inheritdoc cref="ConversationReader.Read"/>
    public static IEnumerable<ChoiceItem> Read(string path, BadRecords bad) => RecordFormat.RequireSome(ReadGood(path, bad), path, bad);

    private static IEnumerable<ChoiceItem> ReadGood(string path, BadRecords bad)
    {
        foreach (var (item, origin) in RecordFormat.Read(path, Formats, bad))
        {
            if (item.Gold < 0 || item.Gold >= item.Options.Count)
            {
                bad.Add(origin, $"the right answer is number {item.Gold}, and there are {item.Options.Count}");
                continue;
            }
            yield return item with { Origin = origin };
        }
    }

    private static ChoiceItem Blimp(JsonElement record) =>
        new([Whole(record.Text("sentence_good")), Whole(record.Text("sentence_bad"))], 0, record.OptionalText("UID"), default);

    private static ChoiceItem Schema(JsonElement record)
    {
        string continuation = record.Text("continuation");
        return new([.. Texts(record, "context_options").Select(context => new ChoiceOption(context, " " + continuation, continuation))], Number(record, "gold"), null, default);
    }

    private static ChoiceItem HellaSwag(JsonElement record)
    {
        string second = record.OptionalText("ctx_b") ?? "";
        string capital = second.Length == 0 ? "" : char.ToUpperInvariant(second[0]) + second[1..].ToLowerInvariant();
        string context = Clean($"{record.Text("activity_label")}: {record.Text("ctx_a")} {capital}");
        return new([.. Texts(record, "endings").Select(ending => After(context, Clean(ending)))], Number(record, "label"), null, default);
    }

    private static ChoiceItem Query(JsonElement record)
    {
        string query = record.Text("query");
        // A question that asks for no answer yet, as ARC's and PIQA's are stored.
        string context = query.StartsWith("Question:", StringComparison.Ordinal) && !query.TrimEnd().EndsWith("Answer:", StringComparison.Ordinal) ? query + "\nAnswer:" : query;
        return new([.. Texts(record, "choices").Select(choice => After(context, choice))], Number(record, "gold"), null, default);
    }

    private static ChoiceItem Mmlu(JsonElement record)
    {
        string[] choices = [.. Texts(record, "choices")];
        string context = $"{record.Text("question").Trim()}\n{string.Concat(choices.Select((choice, index) => $"{(char)('A' + index)}. {choice}\n"))}Answer:";
        return new([.. choices.Select((_, index) => After(context, ((char)('A' + index)).ToString()))], Number(record, "answer"), record.OptionalText("subject"), default);
    }

    private static ChoiceItem Bbq(JsonElement record)
    {
        string context = $"{record.Text("context")}\nQ: {record.Text("question")}\nA:";
        return new([.. BbqAnswers.Select(name => After(context, record.Text(name)))], Number(record, "label"), record.OptionalText("context_condition"), default) { Prejudice = Probe(record) };
    }

    // Null where the record does not say which answer is which, or where both persons or neither belong to the group.
    private static PrejudiceProbe? Probe(JsonElement record)
    {
        if (!record.Has("answer_info") || !record.Has("additional_metadata") || record.OptionalText("question_polarity") is not { } polarity)
        {
            return null;
        }
        var (answers, about) = (record.GetProperty("answer_info"), record.GetProperty("additional_metadata"));
        string[] groups = [.. Texts(about, "stereotyped_groups").Select(Plain)];
        string[] kinds = [.. BbqAnswers.Select(name => Plain(Texts(answers, name).Last()))];
        int unknown = Array.IndexOf(kinds, "unknown");
        int[] persons = [.. Enumerable.Range(0, kinds.Length).Where(index => index != unknown)], members = [.. persons.Where(index => groups.Contains(kinds[index]))];
        if (unknown < 0 || members.Length != 1)
        {
            return null;
        }
        int biased = polarity == "neg" ? members[0] : persons.Single(index => index != members[0]);
        return new PrejudiceProbe(biased, unknown, record.OptionalText("context_condition") == "ambig");

        static string Plain(string text) => text.Trim().ToLowerInvariant();
    }

    private static ChoiceItem Corrects(JsonElement record)
    {
        string prompt = record.Text("prompt");
        string[] right = [.. Texts(record, "corrects")], wrong = [.. Texts(record, "incorrects")];
        return right.Length == 1 && wrong.Length > 0
            ? new([.. right.Concat(wrong).Select(answer => new ChoiceOption(prompt, answer, answer.Trim()))], 0, null, default)
            : throw new RecordFaultException($"the field 'corrects' has {right.Length} answers and 'incorrects' {wrong.Length}; 1 and at least 1 are expected");
    }

    private static ChoiceItem Behaviour(JsonElement record)
    {
        string context = $"\n\nHuman: {record.Text("question")}\n\nAssistant:";
        string[] answers = [record.Text("answer_matching_behavior"), record.Text("answer_not_matching_behavior")];
        return new([.. answers.Select(answer => new ChoiceOption(context, answer, answer.Trim()))], 0, null, default);
    }

    private static ChoiceItem Completion(JsonElement record)
    {
        string continuation = record.Text("continuation");
        return new([new ChoiceOption(record.Text("context"), char.IsWhiteSpace(continuation, 0) ? continuation : " " + continuation, continuation.Trim())], 0, null, default);
    }

    private static ChoiceOption Whole(string sentence) => new("", sentence, sentence);

    private static ChoiceOption After(string context, string answer) => new(context, " " + answer, answer);

    private static IEnumerable<string> Texts(JsonElement record, string name) => record.List(name).EnumerateArray().Select(item => RecordFields.TextOf(item, $"an item of '{name}'"));

    private static int Number(JsonElement record, string name)
    {
        if (!record.Has(name))
        {
            throw new RecordFaultException($"the field '{name}' is missing");
        }
        var value = record.GetProperty(name);
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number
            : value.ValueKind == JsonValueKind.String && int.TryParse(value.GetString(), System.Globalization.NumberStyles.AllowLeadingSign, System.Globalization.CultureInfo.InvariantCulture, out number) ? number
            : throw new RecordFaultException($"the field '{name}' must be a whole number");
    }

    // The harness's own clean-up of HellaSwag's WikiHow text.
    private static string Clean(string text) => Bracketed().Replace(text.Trim().Replace(" [title]", ". ", StringComparison.Ordinal), "").Replace("  ", " ", StringComparison.Ordinal);

    [GeneratedRegex(@"\[.*?\]", RegexOptions.None, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Bracketed();
}
