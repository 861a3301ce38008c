using System.Globalization;

namespace TrainServe.Training.Data;

/// <summary>A file or directory that is packed, and how often.</summary>
/// <param name="Path">A file of text or records, or a directory of them.</param>
/// <param name="Weight">How often each text is trained on: 2 takes all twice, 0.5 a half of them, chosen by a hash of the text. Above 0, at most 100. Texts for validation are taken once.</param>
public sealed record PackSource(string Path, double Weight = 1)
{
    private const double Most = 100;

    /// <summary>Reads <c>PATH</c> or <c>PATH=WEIGHT</c>; what exists under the whole name is a path.</summary>
    /// <exception cref="ArgumentException">The weight is no number, or out of range.</exception>
    public static PackSource Parse(string text)
    {
        int equals = text.LastIndexOf('=');
        if (equals < 0 || System.IO.Path.Exists(text))
        {
            return new PackSource(text);
        }
        string weight = text[(equals + 1)..];
        return double.TryParse(weight, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) ? Checked(new PackSource(text[..equals], value))
            : throw new ArgumentException($"'{weight}' in {text} is no weight; write PATH=WEIGHT, such as stories=2.", nameof(text));
    }

    /// <exception cref="ArgumentException">The weight is out of range.</exception>
    internal static PackSource Checked(PackSource source) => source.Weight is > 0 and <= Most ? source
        : throw new ArgumentException($"{source.Path} has the weight {source.Weight.ToString(CultureInfo.InvariantCulture)}; it must be above 0 and at most {Most}.", nameof(source));
}
