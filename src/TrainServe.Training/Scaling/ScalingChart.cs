using System.Globalization;
using System.Text;

namespace TrainServe.Training.Scaling;

/// <summary>Loss against parameters as a picture: a curve of the fit and its runs for each amount of data, and what the next size should reach.</summary>
public static class ScalingChart
{
    private const int Width = 760, Height = 460, Left = 70, Right = 190, Top = 30, Bottom = 60;
    private static readonly string[] Colours = ["#1b6ca8", "#c8553d", "#3a7d44", "#7b4fa3", "#b8860b", "#444444"];

    /// <param name="points">The runs.</param>
    /// <param name="fit">Their fit.</param>
    /// <param name="next">The next size, with its data and the loss that is foretold.</param>
    /// <returns>An SVG document. Parameters are on a logarithmic axis.</returns>
    public static string Draw(IReadOnlyList<ScalingPoint> points, ScalingFit fit, ScalingPoint next)
    {
        ScalingPoint[] all = [.. points, next];
        double smallest = all.Min(point => (double)point.Parameters), largest = all.Max(point => (double)point.Parameters);
        double lowest = all.Min(point => point.Loss), highest = all.Max(point => point.Loss), margin = Math.Max(0.02, 0.08 * (highest - lowest));
        (lowest, highest) = (lowest - margin, highest + margin);
        double X(double parameters) => Left + (Width - Left - Right) * Math.Log(parameters / smallest) / Math.Max(1e-9, Math.Log(largest / smallest));
        double Y(double loss) => Top + (Height - Top - Bottom) * (highest - loss) / (highest - lowest);

        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\"><rect width=\"{Width}\" height=\"{Height}\" fill=\"white\"/>");
        svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Left} {Top}V{Height - Bottom}H{Width - Right}\" fill=\"none\" stroke=\"#333\"/>");
        foreach (long parameters in all.Select(point => point.Parameters).Distinct())
        {
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(parameters):F1}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{Short(parameters)}</text>");
        }
        for (int i = 0; i <= 4; i++)
        {
            double loss = lowest + (highest - lowest) * i / 4;
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 8}\" y=\"{Y(loss) + 4:F1}\" text-anchor=\"end\">{loss:F3}</text>");
        }
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 14}\" text-anchor=\"middle\">parameters</text><text x=\"{Left}\" y=\"18\">validation loss, nats a token</text>");
        int number = 0;
        foreach (var group in points.GroupBy(point => point.Tokens).OrderBy(group => group.Key))
        {
            string colour = Colours[number % Colours.Length];
            string path = string.Join('L', Enumerable.Range(0, 41).Select(i => smallest * Math.Pow(largest / smallest, i / 40.0))
                .Select(parameters => string.Create(CultureInfo.InvariantCulture, $"{X(parameters):F1} {Y(fit.Loss(parameters, group.Key)):F1}")));
            svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\"/>");
            foreach (var point in group)
            {
                svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(point.Parameters):F1}\" cy=\"{Y(point.Loss):F1}\" r=\"4\" fill=\"{colour}\"/>");
            }
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - Right + 14}\" y=\"{Top + 16 + 18 * number++}\" fill=\"{colour}\">{Short(group.Key)} tokens</text>");
        }
        svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(next.Parameters):F1}\" cy=\"{Y(next.Loss):F1}\" r=\"5\" fill=\"none\" stroke=\"#333\" stroke-dasharray=\"2 2\"/>");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - Right + 14}\" y=\"{Top + 16 + 18 * number}\">next: {next.Loss:F3}</text>");
        return svg.Append("</svg>\n").ToString();
    }

    private static string Short(double count)
    {
        var (value, unit) = count >= 1e9 ? (count / 1e9, "B") : count >= 1e6 ? (count / 1e6, "M") : (count / 1e3, "K");
        return string.Create(CultureInfo.InvariantCulture, $"{value:0.##}{unit}");
    }
}
