namespace TrainServe.Training.Distributed;

/// <summary>One process by itself: sums are what it has, and nobody is waited for.</summary>
public sealed class SingleProcess : IProcessGroup
{
    private SingleProcess()
    {
    }

    public static SingleProcess Instance { get; } = new();

    /// <inheritdoc/>
    public int Rank => 0;

    /// <inheritdoc/>
    public int Size => 1;

    /// <inheritdoc/>
    public int SizeHere => 1;

    /// <inheritdoc/>
    public int RankHere => 0;

    public void Sum(Span<double> values)
    {
        // It is the sum already.
    }

    public void Max(Span<double> values)
    {
        // It is the largest already.
    }

    public void Broadcast(Span<byte> values, int from = 0)
    {
        // All have them already.
    }

    public void BeginSum(nint singles, int count)
    {
        // It is the sum already.
    }

    public void CompleteSums()
    {
        // None was begun.
    }

    public void Wait()
    {
        // There is nobody to wait for.
    }

    public void Leave()
    {
        // There is nobody to leave.
    }
}
