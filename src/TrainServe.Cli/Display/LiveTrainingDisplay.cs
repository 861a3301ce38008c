using Spectre.Console;
using TrainServe.Training.Loops;

namespace TrainServe.Cli.Display;

/// <summary>A table that stays in place on a terminal, with notes above it.</summary>
internal sealed class LiveTrainingDisplay(LiveDisplayContext context) : ITrainingDisplay
{
    private const int BarWidth = 40;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);
    private long _last;
    private string _validation = "-";

    public void Note(string sentence) => AnsiConsole.WriteLine(sentence);

    public void Step(StepReport report)
    {
        if (_last != 0 && TimeProvider.System.GetElapsedTime(_last) < Interval && report.Step < report.TotalSteps)
        {
            return;
        }
        _last = TimeProvider.System.GetTimestamp();
        int done = (int)(BarWidth * report.Step / report.TotalSteps);
        var table = new Table().Border(TableBorder.Rounded).AddColumns("step", "loss", "validation", "rate", "norm", "tokens/s", "left");
        table.AddRow(
            $"{report.Step:N0} of {report.TotalSteps:N0}", $"{report.Loss:F4}", _validation, $"{report.LearningRate:0.0e+0}", $"{report.GradientNorm:F2}",
            $"{report.TokensPerSecond:N0}", PlanText.Duration(report.Remaining));
        context.UpdateTarget(new Rows(table, new Text(PlanText.Scalars(report.Scalars).Trim()), new Markup($"[green]{new string('━', done)}[/][grey]{new string('━', BarWidth - done)}[/]")));
    }

    public void Validation(long step, MeasuredLoss result, bool isBest) => _validation = $"{result.Loss:F4}{PlanText.Scalars(result.Scalars)} at {step:N0}{(isBest ? ", best" : "")}";

    public void Dispose() => context.Refresh();
}
