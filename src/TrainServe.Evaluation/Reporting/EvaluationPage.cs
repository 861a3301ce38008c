using System.Globalization;
using System.Net;
using System.Text;

namespace TrainServe.Evaluation.Reporting;

/// <summary>A report for people: one page without anything from elsewhere, with a table and a plot of each task.</summary>
public static class EvaluationPage
{
    // What lies between 0 and 1 by its nature, and is worth a bar.
    private static readonly string[] Rates = ["accuracy", "accuracy_by_length", "accuracy_length_balanced", "accuracy_clean", "accuracy_contaminated", "baseline", "baseline_length_balanced", "exact_match", "win_rate", "refusal", "over_refusal"];

    /// <param name="report">What was found.</param>
    /// <returns>HTML.</returns>
    public static string Html(EvaluationReport report)
    {
        var page = new StringBuilder("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Evaluation</title>\n<style>body{font:14px sans-serif;max-width:60em;margin:2em auto}table{border-collapse:collapse}td,th{padding:2px 12px 2px 0;text-align:left}pre{white-space:pre-wrap;background:#f4f4f4;padding:6px}</style></head><body>\n");
        page.Append($"<h1>{Text(report.Model)}</h1>\n<p>{Text(report.Backend)}, code {Text(report.CodeVersion)}, weights <code>{Text(report.WeightsSha256)}</code>. Lines on bars are 95 % intervals; a red mark is what guessing gives.</p>\n");
        page.Append(BarChart.Svg([.. report.Tasks.SelectMany(task => Bars(task.Value, task.Key + " ").Take(1))])).Append('\n');
        foreach (var (name, result) in report.Tasks)
        {
            page.Append($"<h2>{Text(name)}</h2>\n<p>{result.Count.ToString(CultureInfo.InvariantCulture)} × {Text(result.Kind)}</p>\n");
            page.Append(BarChart.Svg([.. Bars(result, "")])).Append('\n');
            if (result.Groups is { } groups)
            {
                page.Append(BarChart.Svg([.. groups.Select(group => new Bar(group.Key, group.Value))])).Append('\n');
            }
            page.Append("<table><tr><th>measure</th><th>value</th><th>95 % interval</th></tr>\n");
            foreach (var (metric, value) in result.Metrics)
            {
                string interval = result.Intervals.TryGetValue(metric, out var known) ? $"{Number(known.Low)} to {Number(known.High)}" : "";
                page.Append($"<tr><td>{Text(metric)}</td><td>{Number(value)}</td><td>{interval}</td></tr>\n");
            }
            page.Append("</table>\n");
            foreach (string sample in result.Samples ?? [])
            {
                page.Append($"<pre>{Text(sample)}</pre>\n");
            }
        }
        return page.Append("</body></html>\n").ToString();
    }

    private static IEnumerable<Bar> Bars(TaskResult result, string before) => Rates.Where(result.Metrics.ContainsKey).Select(rate =>
        new Bar(before + rate, result.Metrics[rate], result.Intervals.GetValueOrDefault(rate), rate.StartsWith("accuracy", StringComparison.Ordinal) && result.Metrics.TryGetValue("chance", out double chance) ? chance : null));

    private static string Number(double value) => value.ToString("0.####", CultureInfo.InvariantCulture);

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
