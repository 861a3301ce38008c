using System.Collections.Concurrent;

namespace TrainServe.Server.Limits;

/// <summary>Where buckets are kept: in this process, or in Redis for several servers together.</summary>
internal interface ILimitStore
{
    /// <summary>Takes from a bucket, which is full when it is first asked for.</summary>
    /// <param name="bucket">Its name.</param>
    /// <param name="perMinute">What it holds, and what flows into it in a minute.</param>
    /// <param name="amount">What is asked for.</param>
    /// <param name="force">Take it in any case; the bucket may owe then.</param>
    ValueTask<BucketState> TakeAsync(string bucket, int perMinute, long amount, bool force);
}

/// <summary>Buckets in this process. There are as many as keys have limits, so none is ever forgotten.</summary>
internal sealed class MemoryLimitStore(TimeProvider time) : ILimitStore
{
    private readonly ConcurrentDictionary<string, Holder> _buckets = new(StringComparer.Ordinal);

    public ValueTask<BucketState> TakeAsync(string bucket, int perMinute, long amount, bool force)
    {
        var holder = _buckets.GetOrAdd(bucket, _ => new Holder { Bucket = new TokenBucket(perMinute, time.GetTimestamp()) });
        lock (holder)
        {
            return ValueTask.FromResult(holder.Bucket.Take(perMinute, amount, force, time));
        }
    }

    private sealed class Holder
    {
        public TokenBucket Bucket;
    }
}
