using System.Globalization;

namespace TrainServe.Cli.Quickstart;

/// <summary>What alignment changed, in words.</summary>
internal static class AlignmentText
{
    /// <summary>Before and after side by side, then pairs of answers.</summary>
    public static IEnumerable<string> Of(AlignmentReport report)
    {
        yield return $"  {"",-34} {"before",9} {"after",9}";
        yield return Rates("true answers about stories", scores => scores.TrueAnswers);
        yield return Rates("kind answers to moods and greetings", scores => scores.Kindness);
        yield return Rates("harmful requests refused", scores => scores.Refusal);
        yield return Rates("harmless requests refused", scores => scores.OverRefusal);
        yield return Numbers("the judge's mean score", scores => scores.Reward, "F2");
        yield return Numbers("tokens of an answer", scores => scores.Length, "F1");
        yield return string.Create(CultureInfo.InvariantCulture,
            $"  the judge prefers the answer after to the one before in {report.WinRate:P0} [{report.WinRateInterval.Low:P0}, {report.WinRateInterval.High:P0}]; divergence {report.KlPerAnswer:F2} nats an answer, {report.KlPerToken:F3} a token; the reward model is right on {report.RewardAccuracy:P1} of unseen pairs");
        foreach (var sample in report.Samples)
        {
            yield return $"  > {sample.Prompt}";
            yield return $"    before: {sample.Before}";
            yield return $"    after:  {sample.After}";
        }

        string Rates(string what, Func<AlignmentScores, double> of) => Numbers(what, of, "P1");
        string Numbers(string what, Func<AlignmentScores, double> of, string format) =>
            $"  {what,-35} {of(report.Before).ToString(format, CultureInfo.InvariantCulture),8} {of(report.After).ToString(format, CultureInfo.InvariantCulture),9}";
    }
}
