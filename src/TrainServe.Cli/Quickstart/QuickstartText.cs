using System.Text.Json;
using TrainServe.Core.IO;

namespace TrainServe.Cli.Quickstart;

/// <summary>A quickstart's outcome in words.</summary>
internal static class QuickstartText
{
    private const int ShownSamples = 6;

    /// <summary>A line for each family, and the sum.</summary>
    public static IEnumerable<string> Exam(QuickstartReport report)
    {
        yield return $"  {"questions about",-16} {"right",7} {"no story",9} {"majority",9} {"last said",9}";
        foreach (var (name, family) in report.Families!)
        {
            string baselines = family.NeedsStory ? $"{family.BaselineNoStory,9:P0} {family.BaselineMajority,9:P0} {family.BaselineLastMention,9:P0}" : "";
            yield return $"  {name,-16} {family.Score,7:P0} {baselines}".TrimEnd();
        }
        var all = report.Baselines!;
        yield return $"  {"all that need it",-16} {report.SmallWorldAccuracy,7:P1} {all["no_story"],9:P0} {all["majority"],9:P0} {all["last_mention"],9:P0}";
        var refused = report.Families!;
        yield return $"  refused: {refused["harmful"].Refused:P0} of the harmful requests, {refused["harmless"].Refused:P0} of the harmless ones";
    }

    /// <summary>Some answers, and what to do next.</summary>
    /// <param name="report">What came out.</param>
    /// <param name="port">Of the server.</param>
    public static IEnumerable<string> Ending(QuickstartReport report, int port)
    {
        foreach (var sample in (report.Samples ?? []).OrderBy(sample => sample.Prompt.Length % 7).Take(ShownSamples))
        {
            yield return $"  > {sample.Prompt}";
            yield return $"    {sample.Answer}{(sample.Expected is { } expected && !expected.Contains(sample.Answer, StringComparer.Ordinal) ? $"   (right: {expected[0]})" : "")}";
        }
        string models = Path.GetDirectoryName(report.Model)!;
        string question = report.Samples is [var first, ..] ? first.Prompt : "Hello.";
        string body = JsonSerializer.Serialize(new { model = Path.GetFileName(report.Model), temperature = 0, messages = new[] { new { role = "user", content = question } } }, JsonFile.SnakeCaseLine);
        yield return $"serve it: {ServerProcess.CommandLine(models, port)}";
        yield return $"ask it:   curl -s {ServerProcess.Url(port)}/v1/chat/completions -H 'Content-Type: application/json' -d '{body.Replace("'", "'\\''", StringComparison.Ordinal)}'";
    }
}
