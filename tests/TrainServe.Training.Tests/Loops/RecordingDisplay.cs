using TrainServe.Training.Loops;

namespace TrainServe.Training.Tests.Loops;

/// <summary>Remembers what it is told.</summary>
internal class RecordingDisplay : ITrainingDisplay
{
    public List<string> Notes { get; } = [];
    public List<StepReport> Steps { get; } = [];
    public List<double> Validations { get; } = [];

    public void Note(string sentence) => Notes.Add(sentence);

    public virtual void Step(StepReport report) => Steps.Add(report);

    public void Validation(long step, MeasuredLoss result, bool isBest) => Validations.Add(result.Loss);

    public void Dispose()
    {
    }
}

/// <summary>Requests a stop at a step.</summary>
internal sealed class StoppingDisplay(CancellationTokenSource stop, int step) : RecordingDisplay
{
    public override void Step(StepReport report)
    {
        base.Step(report);
        if (report.Step == step)
        {
            stop.Cancel();
        }
    }
}

/// <summary>Ends a run at a step without saving, as a crash does.</summary>
internal sealed class FailingDisplay(int step) : RecordingDisplay
{
    public override void Step(StepReport report)
    {
        base.Step(report);
        if (report.Step == step)
        {
            throw new TimeoutException();
        }
    }
}
