namespace TrainServe.Server.Limits;

/// <summary>How many answers a model has finished of late: what a caller who finds the queue full has to wait for.</summary>
internal sealed class AnswerRate(TimeProvider time)
{
    private const int Remembered = 32;
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(1), Most = TimeSpan.FromSeconds(120);
    private readonly Queue<long> _ends = new(Remembered);

    public void Finished()
    {
        lock (_ends)
        {
            if (_ends.Count == Remembered)
            {
                _ends.Dequeue();
            }
            _ends.Enqueue(time.GetTimestamp());
        }
    }

    /// <summary>The time in which half of the waiting requests will be done, at the measured rate; a second where nothing was measured yet.</summary>
    public TimeSpan RetryAfter(int waiting)
    {
        lock (_ends)
        {
            if (_ends.Count < 2)
            {
                return Least;
            }
            var each = time.GetElapsedTime(_ends.Peek()) / _ends.Count;
            var wait = each * Math.Max(1, waiting / 2);
            return wait < Least ? Least : wait > Most ? Most : wait;
        }
    }
}
