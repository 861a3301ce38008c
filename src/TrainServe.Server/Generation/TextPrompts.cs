using System.Text;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>Makes tokens of plain texts.</summary>
internal static class TextPrompts
{
    // Unicode normalization can shorten a text, but not by more than this.
    private const int NormalizationSlack = 4;

    /// <exception cref="InvalidRequestException">A prompt is empty or too long, or has a token that is not of the vocabulary.</exception>
    public static int[] Encode(ServedModel model, TextPrompt prompt, bool addSpecialTokens, string name = "prompt")
    {
        if (prompt.Ids is { } ids)
        {
            model.RequireVocabulary(ids, name);
            return ids.Count > 0 ? [.. ids] : throw Empty(name);
        }
        int[] encoded = EncodeAny(model, prompt.Text!, addSpecialTokens, name);
        return encoded.Length > 0 ? encoded : throw Empty(name);
    }

    /// <summary>As <see cref="Encode"/>, but a text may have no tokens.</summary>
    public static int[] EncodeAny(ServedModel model, string text, bool addSpecialTokens, string name = "prompt")
    {
        RequireFeasible(model, Encoding.UTF8.GetByteCount(text), name);
        var encoded = new List<int>();
        if (addSpecialTokens && model.Tokenizer.Special.HasBos)
        {
            encoded.Add(model.Tokenizer.Special.BosId);
        }
        model.Tokenizer.Encode(text, encoded);
        return [.. encoded];
    }

    /// <summary>Refuses a text that cannot fit, before the work of tokenizing it.</summary>
    public static void RequireFeasible(ServedModel model, long bytes, string prompt)
    {
        long surelyTooLong = (long)model.ContextLength * model.LongestTokenBytes * NormalizationSlack;
        if (bytes > surelyTooLong)
        {
            throw SamplingPlan.TooLong(model, prompt, $"your {prompt} are {bytes} bytes of text");
        }
    }

    private static InvalidRequestException Empty(string name) => new($"Invalid '{name}': it has no tokens. Expected at least one.", name, "invalid_value");
}
