using System.Diagnostics;
using TrainServe.Core.Data;
using TrainServe.Core.Random;
using TrainServe.Core.Tokenization;
using TrainServe.Inference.Constraints;

namespace TrainServe.Cli.Benchmarks;

/// <summary>Times what structured output adds to each token, over the schemas of a file.</summary>
/// <remarks>Follows the texts that come with a schema, as far as they are written in the order of its keys. Without texts it makes some: allowed tokens at random, of small ids more often, which are the common ones.</remarks>
internal sealed class MaskBenchmark(TextTokenizer tokenizer, int mostTokens, ulong seed)
{
    private readonly TokenTrie _trie = new(tokenizer);
    private readonly float[] _logits = new float[tokenizer.VocabSize];
    private readonly PhiloxRandom _random = new(seed);
    private readonly List<TimeSpan> _compile = [], _begin = [], _token = [];
    private int _accepted, _refused, _answers, _left;

    /// <summary>Goes through all schemas twice; the first time is for the compiler of this program to settle.</summary>
    public MaskReport Run(IReadOnlyList<SchemaRecord> schemas, CancellationToken cancellationToken)
    {
        for (int round = 0; round < 2; round++)
        {
            (_accepted, _refused, _answers, _left) = (0, 0, 0, 0);
            _compile.Clear();
            _begin.Clear();
            _token.Clear();
            foreach (var schema in schemas)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Measure(schema);
            }
        }
        return new MaskReport(tokenizer.VocabSize, schemas.Count, _accepted, _answers, _left, _token.Count, Microseconds.Of(_compile), Microseconds.Of(_begin), Microseconds.Of(_token));
    }

    private void Measure(SchemaRecord schema)
    {
        CompiledGrammar grammar;
        long start = Stopwatch.GetTimestamp();
        try
        {
            grammar = new CompiledGrammar(JsonSchemaGrammar.Make(schema.Schema));
        }
        catch (Exception error) when (error is JsonSchemaException or GrammarTooLargeException)
        {
            _refused++;
            return;
        }
        _compile.Add(Stopwatch.GetElapsedTime(start));
        _accepted++;
        foreach (string text in schema.Texts)
        {
            int[] ids = tokenizer.Encode(text);
            Follow(grammar, Math.Min(ids.Length, mostTokens), position => float.IsNegativeInfinity(_logits[ids[position]]) ? null : ids[position]);
        }
        if (schema.Texts.Count == 0)
        {
            Follow(grammar, mostTokens, _ => Draw());
        }
    }

    private void Follow(CompiledGrammar grammar, int tokens, Func<int, int?> choose)
    {
        _answers++;
        long start = Stopwatch.GetTimestamp();
        var constraint = new GrammarConstraint(grammar, _trie, [], int.MaxValue);
        _begin.Add(Stopwatch.GetElapsedTime(start));
        for (int position = 0; position < tokens; position++)
        {
            Array.Clear(_logits);
            start = Stopwatch.GetTimestamp();
            constraint.Mask(_logits);
            var masked = Stopwatch.GetElapsedTime(start);
            if (choose(position) is not { } id)
            {
                _left += constraint.IsComplete ? 0 : 1;
                return;
            }
            start = Stopwatch.GetTimestamp();
            constraint.Accept(id);
            _token.Add(masked + Stopwatch.GetElapsedTime(start));
        }
    }

    private int? Draw()
    {
        int[] allowed = [.. Enumerable.Range(0, _logits.Length).Where(id => !float.IsNegativeInfinity(_logits[id]))];
        // Of a number that is evenly spread in its logarithm small values are common, as with words.
        return allowed.Length == 0 ? null : allowed[Math.Min(allowed.Length - 1, (int)(Math.Exp(_random.NextDouble() * Math.Log(allowed.Length + 1)) - 1))];
    }
}

/// <summary>What structured output costs.</summary>
/// <param name="VocabSize">Of the tokenizer.</param>
/// <param name="Schemas">In the file.</param>
/// <param name="Accepted">That can be kept to.</param>
/// <param name="Answers">That were followed.</param>
/// <param name="Left">Of these, those whose text is not in our form, such as one with its keys in another order; followed up to there.</param>
/// <param name="Tokens">That were masked and taken.</param>
/// <param name="Compile">Of a schema.</param>
/// <param name="Begin">Of an answer, before its first token.</param>
/// <param name="Token">Finding what may come next, forbidding the rest, and taking what was chosen.</param>
public sealed record MaskReport(int VocabSize, int Schemas, int Accepted, int Answers, int Left, int Tokens, Microseconds Compile, Microseconds Begin, Microseconds Token);

/// <summary>Microseconds that a part of the times stayed within.</summary>
public sealed record Microseconds(double P50, double P90, double P99, double Largest)
{
    public static Microseconds Of(IEnumerable<TimeSpan> times)
    {
        var milliseconds = Percentiles.Of(times);
        return new Microseconds(milliseconds.P50 * 1000, milliseconds.P90 * 1000, milliseconds.P99 * 1000, milliseconds.Largest * 1000);
    }
}
