using System.Text.RegularExpressions;
using TrainServe.Core;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Scoring;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Reinforcement.Rewards;

/// <summary>Judges an answer by its text: a reward that can be checked.</summary>
/// <param name="Name">For metrics.</param>
/// <param name="Weight">In the sum.</param>
/// <param name="Judge">The reward; throws where it cannot tell.</param>
public sealed record RewardFunction(string Name, double Weight, Func<Prompt, string, double> Judge);

/// <summary>The rewards that a recipe can name.</summary>
public static class RewardFunctions
{
    /// <exception cref="RecipeException">A pattern is no regular expression.</exception>
    /// <exception cref="ArgumentException">The section names the reward model, which judges tokens.</exception>
    public static RewardFunction Of(RewardFunctionSection section) => section.Kind switch
    {
        RewardKind.Exact => new("exact", section.Weight, (prompt, answer) => Words(answer) == Words(Reference(prompt)) ? 1 : 0),
        RewardKind.Number => new("number", section.Weight, Number),
        RewardKind.Arithmetic => new("arithmetic", section.Weight, Arithmetic),
        RewardKind.Format => Format(section.Weight, section.Pattern!),
        _ => throw new ArgumentException($"The reward {section.Kind} is not a function of a text.", nameof(section)),
    };

    private static double Number(Prompt prompt, string answer)
    {
        decimal wanted = NumberText.Last(Reference(prompt)) ?? throw new InvalidDataException("the reference answer holds no number");
        return NumberText.Last(answer) == wanted ? 1 : 0;
    }

    private static double Arithmetic(Prompt prompt, string answer)
    {
        string question = prompt.Messages.Last(message => message.Role == ChatRole.User).Content;
        decimal wanted = ArithmeticText.Value(question) ?? throw new InvalidDataException("the prompt holds no sum, difference or product");
        return NumberText.Last(answer) == wanted ? 1 : 0;
    }

    private static RewardFunction Format(double weight, string pattern)
    {
        try
        {
            // Without backtracking, so that no answer can take long.
            var regex = new Regex($@"\A(?:{pattern})\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            return new RewardFunction("format", weight, (_, answer) => regex.IsMatch(answer.Trim()) ? 1 : 0);
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            throw new RecipeException($"rewards: the pattern '{pattern}' is no regular expression that can be used here: {error.Message.TrimEnd('.')}.", error);
        }
    }

    private static string Reference(Prompt prompt) => prompt.Answer ?? throw new InvalidDataException("the record has no reference answer");

    private static string Words(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}

/// <summary>Applies several functions and the rule for those that throw.</summary>
public sealed class RewardSum(IReadOnlyList<RewardFunction> functions, RewardErrorRule rule)
{
    /// <summary>Judgements that could not be made and counted 0; a run that goes on counts from where it was.</summary>
    public long Errors { get; set; }

    public IReadOnlyList<RewardFunction> Functions => functions;

    /// <returns>The reward of each function, unweighted.</returns>
    /// <exception cref="InvalidDataException">A function threw, and the rule is to stop; the message names the prompt's file and line.</exception>
    public double[] Judge(Prompt prompt, string answer)
    {
        var found = new double[functions.Count];
        for (int i = 0; i < found.Length; i++)
        {
            try
            {
                double reward = functions[i].Judge(prompt, answer);
                found[i] = double.IsFinite(reward) ? reward : throw new InvalidDataException($"it gave {reward}");
            }
            catch (Exception error)
            {
                if (rule == RewardErrorRule.Stop)
                {
                    throw new InvalidDataException($"{prompt.Origin}: the reward {functions[i].Name} cannot judge an answer: {error.Message.TrimEnd('.')}. Mend the record, or set on_reward_error: zero.", error);
                }
                Errors++;
            }
        }
        return found;
    }
}
