using System.Text;
using System.Text.Json;
using TrainServe.Core.Random;
using TrainServe.Core.Tokenization;
using TrainServe.Inference.Constraints;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests.Constraints;

/// <summary>Asks grammars for texts, and whether they take a text.</summary>
internal static class GrammarTexts
{
    public static TextTokenizer Tokenizer => SmallTokenizers.Ours;
    public static TokenTrie Trie { get; } = new(SmallTokenizers.Ours);

    public static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    public static bool Accepts(GrammarNode grammar, string text)
    {
        var automaton = new GrammarAutomaton(GrammarProgram.Compile(grammar));
        int state = automaton.Start;
        foreach (byte value in Encoding.UTF8.GetBytes(text))
        {
            state = automaton.Next(state, value);
            if (state == GrammarAutomaton.Dead)
            {
                return false;
            }
        }
        return automaton.IsAccepting(state);
    }

    /// <summary>What a model makes that has no preference: any allowed token, one as likely as another.</summary>
    public static (string Text, bool Complete, int Tokens) Draw(GrammarNode grammar, ulong seed, int maxNewTokens)
    {
        int stop = Tokenizer.Special.TryGetId("<|end|>")!.Value;
        var constraint = new GrammarConstraint(new CompiledGrammar(grammar), Trie, [stop], maxNewTokens);
        var random = new PhiloxRandom(seed);
        var ids = new List<int>();
        float[] logits = new float[Tokenizer.VocabSize + 3];
        while (ids.Count < maxNewTokens)
        {
            Array.Clear(logits);
            constraint.Mask(logits);
            int[] allowed = [.. Enumerable.Range(0, logits.Length).Where(id => logits[id] == 0)];
            Assert.NotEmpty(allowed);
            int id = allowed[random.NextInt32(allowed.Length)];
            if (id == stop)
            {
                return (Tokenizer.Decode([.. ids]), true, ids.Count + 1);
            }
            ids.Add(id);
            constraint.Accept(id);
        }
        return (Tokenizer.Decode([.. ids], skipSpecial: false), constraint.IsComplete, ids.Count);
    }
}
