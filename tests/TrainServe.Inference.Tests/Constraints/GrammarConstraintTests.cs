using CsCheck;
using TrainServe.Core.Random;
using TrainServe.Core.Tokenization;
using TrainServe.Inference.Constraints;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests.Constraints;

public sealed class GrammarConstraintTests
{
    private static readonly string[] Schemas =
    [
        """{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name"],"additionalProperties":false}""",
        """{"type":"string","minLength":3,"maxLength":7}""",
        """{"type":"array","items":{"type":"string","pattern":"^[a-f]+ (the|a) [^\"]{2,4}$"},"maxItems":3}""",
        """{"enum":["the cat","the dog","\"quoted\"",17,null]}""",
        """{}""",
    ];

    public static TheoryData<string> AllSchemas => [.. Schemas];

    [Theory]
    [MemberData(nameof(AllSchemas))]
    public void A_mask_allows_exactly_the_tokens_after_which_the_text_can_go_on(string schema) => RequireExactMasks(schema, GrammarTexts.Tokenizer, steps: 25, iterations: 20);

    [Theory]
    [MemberData(nameof(AllSchemas))]
    public void So_it_does_with_a_vocabulary_of_fifty_thousand(string schema)
    {
        using var directory = new TemporaryDirectory();
        string vocabulary = directory.WriteText("vocab.json", SharedData.ReadText("tokenizers/gpt2/vocab.json.gz")), merges = directory.WriteText("merges.txt", SharedData.ReadText("tokenizers/gpt2/merges.txt.gz"));
        RequireExactMasks(schema, TextTokenizer.LoadVocabularyAndMerges(vocabulary, merges), steps: 12, iterations: 2);
    }

    // Random chains of tokens, each allowed, against spelling every token through the automaton.
    private static void RequireExactMasks(string schema, TextTokenizer tokenizer, int steps, int iterations)
    {
        var grammar = new CompiledGrammar(JsonSchemaGrammar.Make(GrammarTexts.Json(schema)));
        var trie = new TokenTrie(tokenizer);
        int masks = 0;
        Gen.ULong.Sample(seed =>
        {
            var random = new PhiloxRandom(seed);
            var constraint = new GrammarConstraint(grammar, trie, [], int.MaxValue);
            var automaton = new GrammarAutomaton(grammar.Program);
            int state = automaton.Start;
            float[] logits = new float[tokenizer.VocabSize + 5];
            for (int step = 0; step < steps; step++)
            {
                Array.Clear(logits);
                constraint.Mask(logits);
                bool[] expected = [.. Enumerable.Range(0, logits.Length).Select(id => id < tokenizer.VocabSize && !tokenizer.TokenBytes(id).IsEmpty && After(automaton, state, tokenizer.TokenBytes(id)) != GrammarAutomaton.Dead)];
                Assert.Equal(expected, logits.Select(logit => logit == 0));
                masks++;
                int[] allowed = [.. Enumerable.Range(0, expected.Length).Where(id => expected[id])];
                if (allowed.Length == 0)
                {
                    Assert.True(constraint.IsComplete);
                    return;
                }
                // Short tokens often, or texts of limited length would end at once.
                int[] brief = [.. allowed.Where(id => tokenizer.TokenBytes(id).Length <= 2)];
                int[] from = brief.Length > 0 && random.NextInt32(4) > 0 ? brief : allowed;
                int id = from[random.NextInt32(from.Length)];
                constraint.Accept(id);
                state = After(automaton, state, tokenizer.TokenBytes(id));
            }
        }, iter: iterations, threads: 1);
        Assert.True(masks >= 2 * iterations);
    }

    private static int After(GrammarAutomaton automaton, int state, ReadOnlySpan<byte> text)
    {
        foreach (byte value in text)
        {
            if (state == GrammarAutomaton.Dead)
            {
                break;
            }
            state = automaton.Next(state, value);
        }
        return state;
    }
}
