using TrainServe.Server.Limits;

namespace TrainServe.Server.Errors;

/// <summary>A caller has used up what a key allows in a minute.</summary>
internal sealed class RateLimitException(string key, string what, int perMinute, long requested, BucketState state) : Exception(
    $"Rate limit reached for the key '{key}' on {what} per min: Limit {perMinute}, Remaining {state.Remaining}, Requested {requested}. Please try again in {RateLimits.Duration(state.RetryAfter)}.")
{
    public TimeSpan RetryAfter { get; } = state.RetryAfter;
}
