using TrainServe.Training.Loops;

namespace TrainServe.Cli.Display;

/// <summary>A line now and then: for logs, pipes and dumb terminals.</summary>
internal sealed class PlainTrainingDisplay(TextWriter output, TimeProvider time) : ITrainingDisplay
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);
    private long? _last;

    public void Note(string sentence) => output.WriteLine(sentence);

    public void Step(StepReport report)
    {
        if (_last is { } last && time.GetElapsedTime(last) < Interval && report.Step < report.TotalSteps)
        {
            return;
        }
        _last = time.GetTimestamp();
        output.WriteLine(Line(report));
    }

    public void Validation(long step, MeasuredLoss result, bool isBest)
    {
        string sources = result.LossBySource.Count > 1 ? $" ({string.Join(", ", result.LossBySource.Select(source => $"{source.Key} {source.Value:F4}"))})" : "";
        output.WriteLine($"step {step}  validation loss {result.Loss:F4}{sources}{PlanText.Scalars(result.Scalars)}{(isBest ? "  best" : "")}");
    }

    public void Dispose() => output.Flush();

    internal static string Line(StepReport report) =>
        $"step {report.Step}/{report.TotalSteps}  loss {report.Loss:F4}  rate {report.LearningRate:0.0e+0}  norm {report.GradientNorm:F2}{PlanText.Scalars(report.Scalars)}  {report.TokensPerSecond:N0} tokens/s  {PlanText.Duration(report.Remaining)} left";
}
