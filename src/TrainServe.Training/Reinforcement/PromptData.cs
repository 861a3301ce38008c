using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.Training.Alignment;
using TrainServe.Training.Data;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Reinforcement;

/// <summary>A prompt as tokens.</summary>
public sealed record EncodedPrompt(int[] Ids, Prompt Prompt);

/// <summary>The prompts of a run, encoded.</summary>
public sealed class PromptData
{
    private readonly List<Source> _sources = [];
    private readonly int _maxTokens;

    /// <param name="section">What to read and how.</param>
    /// <param name="sources">Files.</param>
    /// <param name="template">Makes the tokens.</param>
    /// <param name="maxTokens">A longer prompt is left out and counted.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    /// <exception cref="InvalidDataException">A file cannot be used, or none of its prompts is short enough.</exception>
    public PromptData(PromptDataSection section, IReadOnlyList<DataSourceSection> sources, ChatTemplate template, int maxTokens, CancellationToken cancellationToken = default)
    {
        _maxTokens = maxTokens;
        foreach (var source in sources)
        {
            var bad = section.SkipBadRecords ? BadRecords.Lenient() : BadRecords.Strict();
            List<EncodedPrompt> prompts = [], heldOut = [];
            int overLong = 0;
            foreach (var prompt in PromptReader.ReadAll([source.Path], bad).Where(prompt => PromptSplit.IsInPart(prompt.Messages, section.PartFrom, section.PartTo)))
            {
                cancellationToken.ThrowIfCancellationRequested();
                int[] ids = template.EncodePrompt(prompt.Messages);
                if (ids.Length > maxTokens)
                {
                    overLong++;
                    continue;
                }
                (PromptSplit.IsHeldOut(prompt.Messages, section.ValidationFraction) ? heldOut : prompts).Add(new EncodedPrompt(ids, prompt));
            }
            if (prompts.Count == 0)
            {
                throw new InvalidDataException($"{source.Path} has no prompt to answer: {overLong} are longer than {maxTokens} tokens and {heldOut.Count} are held out.");
            }
            _sources.Add(new Source(source.Name!, source.Weight, prompts, heldOut, overLong, bad));
        }
    }

    public ExampleOrder Order(ulong seed) => new([.. _sources.Select(source => source.Prompts.Count)], Weights(), seed);

    public IReadOnlyList<EncodedPrompt> Take(ExampleOrder order, long first, int count) =>
        [.. Enumerable.Range(0, count).Select(offset => order[first + offset]).Select(place => _sources[place.Source].Prompts[place.Example])];

    /// <summary>Prompts that are not learned from.</summary>
    /// <param name="most">At most so many of each source; 0 is all of them.</param>
    public IReadOnlyList<EncodedPrompt> HeldOut(int most) => [.. _sources.SelectMany(source => most > 0 ? source.HeldOut.Take(most) : source.HeldOut)];

    /// <summary>All prompts, held out or not.</summary>
    public IEnumerable<EncodedPrompt> All => _sources.SelectMany(source => source.Prompts.Concat(source.HeldOut));

    public IReadOnlyList<SourceSummary> Summary() => [.. _sources.Select((source, index) => new SourceSummary(source.Name, Shares()[index], Tokens(source), source.HeldOut.Sum(prompt => (long)prompt.Ids.Length)))];

    public IEnumerable<string> Notes() => _sources.Select(source =>
        string.Create(CultureInfo.InvariantCulture, $"{source.Name}: {source.Prompts.Count} prompts, {source.HeldOut.Count} held out, {source.OverLong} left out because they are longer than {_maxTokens} tokens.") + (source.Bad.Skipped > 0 ? $" {source.Bad}." : ""));

    /// <summary>Hash of each source's prompts and reference answers, by name.</summary>
    public Dictionary<string, string> Identity() => _sources.ToDictionary(source => source.Name, Sha256, StringComparer.Ordinal);

    public IReadOnlyList<DataSource> Lineage() => [.. _sources.Select((source, index) => new DataSource(source.Name, Sha256(source), Tokens(source), Shares()[index]))];

    /// <summary>The first prompts in readable form.</summary>
    public string Preview(ExampleOrder order, TextTokenizer tokenizer) => string.Concat(Take(order, 0, (int)Math.Min(3, order.Count))
        .Select(prompt => $"prompt {tokenizer.Decode(prompt.Ids, skipSpecial: false)}{(prompt.Prompt.Answer is { } answer ? $"  answer {answer}" : "")}\n"));

    private static string Sha256(Source source)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var prompt in source.Prompts.Concat(source.HeldOut))
        {
            hash.AppendData(MemoryMarshal.AsBytes((ReadOnlySpan<int>)[prompt.Ids.Length]));
            hash.AppendData(MemoryMarshal.AsBytes(prompt.Ids.AsSpan()));
            hash.AppendData(Encoding.UTF8.GetBytes(prompt.Prompt.Answer ?? "\0"));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static long Tokens(Source source) => source.Prompts.Sum(prompt => (long)prompt.Ids.Length);

    private double[]? Weights() => _sources.All(source => source.Weight is null) ? null : [.. _sources.Select(source => source.Weight ?? 0)];

    private double[] Shares()
    {
        double[] parts = Weights() ?? [.. _sources.Select(source => (double)source.Prompts.Count)];
        return [.. parts.Select(part => part / parts.Sum())];
    }

    private sealed record Source(string Name, double? Weight, IReadOnlyList<EncodedPrompt> Prompts, IReadOnlyList<EncodedPrompt> HeldOut, int OverLong, BadRecords Bad);
}
