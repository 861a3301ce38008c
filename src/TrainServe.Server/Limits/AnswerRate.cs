namespace TrainServe.Server.Limits;

/// <summary>How long a model took for each of its latest answers while it had work: what a caller who finds the queue full has to wait for.</summary>
internal sealed class AnswerRate(TimeProvider time)
{
    private const int Remembered = 32;
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(1), Most = TimeSpan.FromSeconds(120);
    private readonly Queue<TimeSpan> _times = new(Remembered);
    private readonly Lock _gate = new();
    private TimeSpan _sum;
    private int _running;
    private long _since;

    public void Began()
    {
        lock (_gate)
        {
            if (_running++ == 0)
            {
                _since = time.GetTimestamp(); // the time before was idle
            }
        }
    }

    /// <param name="answered">Whether it came to an answer; what others cost counts towards the next one.</param>
    public void Ended(bool answered)
    {
        lock (_gate)
        {
            _running--;
            if (!answered)
            {
                return;
            }
            if (_times.Count == Remembered)
            {
                _sum -= _times.Dequeue();
            }
            long now = time.GetTimestamp();
            var taken = time.GetElapsedTime(_since, now);
            _since = now;
            _times.Enqueue(taken);
            _sum += taken;
        }
    }

    /// <summary>The time in which half of the waiting requests will be done, at the measured rate; a second where nothing was measured yet.</summary>
    public TimeSpan RetryAfter(int waiting)
    {
        lock (_gate)
        {
            var wait = _times.Count == 0 ? Least : _sum / _times.Count * Math.Max(1, waiting / 2);
            return wait < Least ? Least : wait > Most ? Most : wait;
        }
    }
}
