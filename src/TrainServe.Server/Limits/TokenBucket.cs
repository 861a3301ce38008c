namespace TrainServe.Server.Limits;

/// <summary>How a bucket stands after something was asked of it.</summary>
/// <param name="Allowed">Whether it was given.</param>
/// <param name="Remaining">What could be given now.</param>
/// <param name="FullAfter">When the bucket will be full.</param>
/// <param name="RetryAfter">When what was refused could be given.</param>
internal readonly record struct BucketState(bool Allowed, long Remaining, TimeSpan FullAfter, TimeSpan RetryAfter);

/// <summary>A bucket that holds a minute's worth and is filled evenly. What is more than a whole bucket is given out of a full one, and then owed.</summary>
internal struct TokenBucket(int perMinute, long now)
{
    private double _level = perMinute;
    private long _time = now;

    /// <param name="perMinute">What it holds, and what flows into it in a minute.</param>
    /// <param name="amount">What is asked for.</param>
    /// <param name="force">Take it in any case; the bucket may owe then.</param>
    /// <param name="time">The clock.</param>
    public BucketState Take(int perMinute, long amount, bool force, TimeProvider time)
    {
        long now = time.GetTimestamp();
        double rate = perMinute / 60.0;
        _level = Math.Min(perMinute, _level + time.GetElapsedTime(_time, now).TotalSeconds * rate);
        _time = now;
        double needed = Math.Min(amount, perMinute);
        bool allowed = force || _level >= needed;
        if (allowed)
        {
            _level -= amount;
        }
        return State(perMinute, _level, needed, allowed);
    }

    public static BucketState State(int perMinute, double level, double needed, bool allowed)
    {
        double rate = perMinute / 60.0;
        return new BucketState(allowed, (long)Math.Max(0, Math.Floor(level)), TimeSpan.FromSeconds(Math.Max(0, perMinute - level) / rate),
            allowed ? TimeSpan.Zero : TimeSpan.FromSeconds(Math.Max(0, needed - level) / rate));
    }
}
