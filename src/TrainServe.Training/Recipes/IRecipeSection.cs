using System.Globalization;
using System.Text.Json;
using TrainServe.Core;

namespace TrainServe.Training.Recipes;

/// <summary>A group of a recipe's keys: an immutable record whose properties are the keys in Pascal case.</summary>
public interface IRecipeSection
{
    /// <summary>Checks the rules of its own keys, and those between them.</summary>
    void Check(RecipeRules rules);
}

/// <summary>Reports a broken rule with the key, its value, and the line that holds it.</summary>
public sealed class RecipeRules
{
    private readonly string _prefix;
    private readonly RecipeMap? _written;

    internal RecipeRules(string prefix, RecipeMap? written) => (_prefix, _written) = (prefix, written);

    /// <param name="holds">Whether the rule holds.</param>
    /// <param name="property">The property's name; the message has the key.</param>
    /// <param name="value">What it is.</param>
    /// <param name="rule">What it must be, after "it": "must be above 0".</param>
    /// <exception cref="RecipeException">It does not hold.</exception>
    public void Require(bool holds, string property, object? value, string rule)
    {
        if (!holds)
        {
            string key = JsonNamingPolicy.SnakeCaseLower.ConvertName(property);
            string place = _written is null ? "" : (_written[key]?.Place ?? _written.Place) + ": ";
            throw new RecipeException(string.Create(CultureInfo.InvariantCulture, $"{place}{_prefix}{key} is {value ?? "missing"}; it {rule}."));
        }
    }

    public void Range(string property, long value, long least, long most = long.MaxValue) => Require(value >= least && value <= most, property, value,
        most == long.MaxValue ? string.Create(CultureInfo.InvariantCulture, $"must be at least {least}") : string.Create(CultureInfo.InvariantCulture, $"must be from {least} to {most}"));

    public void Positive(string property, double value) => Require(double.IsFinite(value) && value > 0, property, value, "must be above 0");

    public void NotNegative(string property, double value) => Require(double.IsFinite(value) && value >= 0, property, value, "must not be negative");

    /// <summary>At least 0 and below 1.</summary>
    public void Fraction(string property, double value) => Require(value is >= 0 and < 1, property, value, "must be at least 0 and below 1");
}
