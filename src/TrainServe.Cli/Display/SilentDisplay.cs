using TrainServe.Training.Loops;

namespace TrainServe.Cli.Display;

/// <summary>For a process of several that is not the first, which speaks for all.</summary>
internal sealed class SilentDisplay : ITrainingDisplay
{
    public void Note(string sentence)
    {
        // The first process says the same.
    }

    public void Step(StepReport report)
    {
        // The first process shows it.
    }

    public void Validation(long step, MeasuredLoss result, bool isBest)
    {
        // The first process shows it.
    }

    public void Dispose()
    {
        // Nothing is held.
    }
}
