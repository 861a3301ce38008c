using TrainServe.Training.Data;

namespace TrainServe.Training.Recipes;

/// <summary>A source of training data.</summary>
public sealed record DataSourceSection : IRecipeSection
{
    /// <summary>A directory of packed data, a file of text or records, or a directory of such files.</summary>
    [FreeOnResume]
    public required string Path { get; init; }

    /// <summary>What losses and metrics call it; the file's name without its extensions when not set.</summary>
    public string? Name { get; init; }

    /// <summary>Its share of the rows, against the other sources' weights; its share of the tokens when no source sets one.</summary>
    public double? Weight { get; init; }

    public void Check(RecipeRules rules) => rules.Require(Weight is null or > 0 and < double.PositiveInfinity, nameof(Weight), Weight, "must be above 0");
}

/// <summary>What pretraining reads.</summary>
public sealed record PretrainingDataSection : IRecipeSection
{
    /// <summary>Tokens of a row, T.</summary>
    public int SequenceLength { get; init; } = 256;

    /// <summary>Where from; the option --data replaces it.</summary>
    public IReadOnlyList<DataSourceSection> Sources { get; init; } = [];

    /// <summary>How text that is packed for this run is divided; packed data is divided already.</summary>
    public ValidationRule ValidationRule { get; init; } = ValidationRule.Auto;

    /// <summary>The part of it that is kept for validation.</summary>
    public double ValidationFraction { get; init; } = 0.05;

    /// <summary>Whether records that cannot be used are counted and left out, rather than stop the run.</summary>
    public bool SkipBadRecords { get; init; }

    /// <summary>Whether the documents of a row attend each to itself alone, while training and on held-out rows; otherwise they run on, as in GPT-2's training.</summary>
    public bool SeparateDocuments { get; init; }

    public void Check(RecipeRules rules)
    {
        rules.Range(nameof(SequenceLength), SequenceLength, 2, 1 << 20);
        rules.Fraction(nameof(ValidationFraction), ValidationFraction);
        DataRules.CheckWeights(rules, nameof(Sources), Sources);
    }
}

/// <summary>What a conversation that is longer than a row becomes.</summary>
public enum OverLongRule
{
    /// <summary>It is left out and counted.</summary>
    Drop,

    /// <summary>Its end is cut off, if the part that stays has a token to learn; otherwise it is left out. Both are counted.</summary>
    Cut,
}

/// <summary>What fine-tuning reads.</summary>
public sealed record ConversationDataSection : IRecipeSection
{
    /// <summary>Tokens of a row, T; the model's longest context when not set.</summary>
    public int? SequenceLength { get; init; }

    /// <summary>Files of conversations; the option --data replaces it.</summary>
    public IReadOnlyList<DataSourceSection> Sources { get; init; } = [];

    /// <summary>The part of the conversations that is kept for validation, chosen by a hash of the first user turn.</summary>
    public double ValidationFraction { get; init; } = 0.05;

    /// <summary>Only conversations of this part of all first user turns are read, by another hash: stages whose parts do not meet share no question.</summary>
    public double PartFrom { get; init; }

    /// <summary>Where the part ends; 1 is the end of all.</summary>
    public double PartTo { get; init; } = 1;

    public OverLongRule OverLong { get; init; } = OverLongRule.Drop;

    /// <summary>Whether records that cannot be used are counted and left out, rather than stop the run.</summary>
    public bool SkipBadRecords { get; init; }

    public void Check(RecipeRules rules)
    {
        if (SequenceLength is { } length)
        {
            rules.Range(nameof(SequenceLength), length, 2, 1 << 20);
        }
        rules.Fraction(nameof(ValidationFraction), ValidationFraction);
        DataRules.CheckPart(rules, PartFrom, PartTo);
        DataRules.CheckWeights(rules, nameof(Sources), Sources);
    }
}

/// <summary>What a reward model and direct preference optimization read.</summary>
public sealed record PreferenceDataSection : IRecipeSection
{
    /// <summary>Most tokens of a prompt with an answer; the model's longest context when not set. A pair of which either side is longer is left out and counted.</summary>
    public int? SequenceLength { get; init; }

    /// <summary>Files of preference pairs; the option --data replaces it.</summary>
    public IReadOnlyList<DataSourceSection> Sources { get; init; } = [];

    /// <summary>The part of the pairs that is kept for validation, chosen by a hash of the first user turn.</summary>
    public double ValidationFraction { get; init; } = 0.05;

    /// <summary>Only pairs of this part of all first user turns are read, by another hash: stages whose parts do not meet share no question.</summary>
    public double PartFrom { get; init; }

    /// <summary>Where the part ends; 1 is the end of all.</summary>
    public double PartTo { get; init; } = 1;

    /// <summary>Whether records that cannot be used are counted and left out, rather than stop the run.</summary>
    public bool SkipBadRecords { get; init; }

    public void Check(RecipeRules rules)
    {
        if (SequenceLength is { } length)
        {
            rules.Range(nameof(SequenceLength), length, 2, 1 << 20);
        }
        rules.Fraction(nameof(ValidationFraction), ValidationFraction);
        DataRules.CheckPart(rules, PartFrom, PartTo);
        DataRules.CheckWeights(rules, nameof(Sources), Sources);
    }
}

internal static class DataRules
{
    public static void CheckPart(RecipeRules rules, double from, double to)
    {
        rules.Fraction("PartFrom", from);
        rules.Require(to > from && to <= 1, "PartTo", to, $"must be above part_from, {from}, and at most 1");
    }

    public static void CheckWeights(RecipeRules rules, string property, IReadOnlyList<DataSourceSection> sources)
    {
        int weighted = sources.Count(source => source.Weight is not null);
        rules.Require(weighted == 0 || weighted == sources.Count, property, $"a list of {sources.Count} of which {weighted} have a weight", "must give every source a weight, or none");
    }
}
