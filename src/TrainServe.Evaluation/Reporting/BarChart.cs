using System.Globalization;
using System.Net;
using System.Text;
using TrainServe.Evaluation.Metrics;

namespace TrainServe.Evaluation.Reporting;

/// <summary>A bar of a chart.</summary>
/// <param name="Name">Beside it.</param>
/// <param name="Value">From 0 to 1.</param>
/// <param name="Interval">Drawn as a line; null draws none.</param>
/// <param name="Chance">Where guessing would be; null draws no mark.</param>
public sealed record Bar(string Name, double Value, Interval? Interval = null, double? Chance = null);

/// <summary>Rates as horizontal bars, as SVG that stands in a page or alone.</summary>
public static class BarChart
{
    private const int NameWidth = 260, Width = 360, ValueWidth = 150, RowHeight = 22;

    /// <param name="bars">From top to bottom.</param>
    public static string Svg(IReadOnlyList<Bar> bars)
    {
        var svg = new StringBuilder();
        Line(svg, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{NameWidth + Width + ValueWidth}\" height=\"{RowHeight * bars.Count + 20}\" font-family=\"sans-serif\" font-size=\"12\">");
        foreach (double mark in (double[])[0, 0.25, 0.5, 0.75, 1])
        {
            Line(svg, $"<line x1=\"{X(mark):0.#}\" x2=\"{X(mark):0.#}\" y1=\"0\" y2=\"{RowHeight * bars.Count}\" stroke=\"#ddd\"/><text x=\"{X(mark):0.#}\" y=\"{RowHeight * bars.Count + 14}\" text-anchor=\"middle\" fill=\"#777\">{mark:0.##}</text>");
        }
        for (int row = 0; row < bars.Count; row++)
        {
            var bar = bars[row];
            double top = row * RowHeight, middle = top + RowHeight / 2.0;
            Line(svg, $"<text x=\"{NameWidth - 8}\" y=\"{middle + 4:0.#}\" text-anchor=\"end\">{WebUtility.HtmlEncode(bar.Name)}</text>");
            Line(svg, $"<rect x=\"{NameWidth}\" y=\"{top + 4:0.#}\" width=\"{X(bar.Value) - NameWidth:0.#}\" height=\"{RowHeight - 8}\" fill=\"#4878a8\"/>");
            if (bar.Chance is { } chance)
            {
                Line(svg, $"<line x1=\"{X(chance):0.#}\" x2=\"{X(chance):0.#}\" y1=\"{top + 2:0.#}\" y2=\"{top + RowHeight - 2:0.#}\" stroke=\"#c44\" stroke-width=\"2\"/>");
            }
            if (bar.Interval is { } interval)
            {
                Line(svg, $"<line x1=\"{X(interval.Low):0.#}\" x2=\"{X(interval.High):0.#}\" y1=\"{middle:0.#}\" y2=\"{middle:0.#}\" stroke=\"#000\" stroke-width=\"2\"/>");
            }
            string range = bar.Interval is { } known ? string.Create(CultureInfo.InvariantCulture, $" [{known.Low:0.###}, {known.High:0.###}]") : "";
            Line(svg, $"<text x=\"{NameWidth + Width + 8}\" y=\"{middle + 4:0.#}\">{bar.Value:0.###}{range}</text>");
        }
        return svg.Append("</svg>").ToString();
    }

    private static double X(double value) => NameWidth + Width * Math.Clamp(value, 0, 1);

    private static void Line(StringBuilder svg, FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
