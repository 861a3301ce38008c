using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;
using StackExchange.Redis;

namespace TrainServe.Server.Limits;

/// <summary>Buckets in Redis, so that several servers hold one limit together. While Redis is away each holds it alone.</summary>
internal sealed partial class RedisLimitStore : ILimitStore, IAsyncDisposable
{
    // The bucket as in TokenBucket, by Redis's own clock. A bucket that has filled up again is forgotten.
    private const string Script =
        """
        local now = redis.call('TIME')
        local time = now[1] * 1000000 + now[2]
        local capacity = tonumber(ARGV[1])
        local amount = tonumber(ARGV[2])
        local kept = redis.call('HMGET', KEYS[1], 'level', 'time')
        local level = tonumber(kept[1]) or capacity
        local since = tonumber(kept[2]) or time
        level = math.min(capacity, level + (time - since) * capacity / 60000000)
        local needed = math.min(amount, capacity)
        local allowed = 0
        if ARGV[3] == '1' or level >= needed then
          allowed = 1
          level = level - amount
        end
        redis.call('HSET', KEYS[1], 'level', string.format('%.6f', level), 'time', string.format('%.0f', time))
        redis.call('PEXPIRE', KEYS[1], math.ceil((capacity - level) / capacity * 60000) + 1000)
        return { allowed, string.format('%.6f', level) }
        """;

    // A request does not wait longer than this for being counted.
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(250);

    private readonly Lazy<Task<ConnectionMultiplexer>> _connection;
    private readonly MemoryLimitStore _fallback;
    private readonly ILogger<RedisLimitStore> _log;
    private readonly ResiliencePipeline _pipeline;

    public RedisLimitStore(string configuration, TimeProvider time, ILogger<RedisLimitStore> log, TimeSpan? patience = null)
    {
        (_fallback, _log) = (new MemoryLimitStore(time), log);
        var settings = ConfigurationOptions.Parse(configuration);
        settings.AbortOnConnectFail = false;
        _connection = new Lazy<Task<ConnectionMultiplexer>>(() => ConnectionMultiplexer.ConnectAsync(settings));
        _pipeline = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = 0.5,
                MinimumThroughput = 4,
                SamplingDuration = TimeSpan.FromSeconds(10),
                BreakDuration = TimeSpan.FromSeconds(5),
                OnOpened = _ =>
                {
                    LogAway();
                    return default;
                },
            })
            .AddTimeout(patience ?? Patience)
            .Build();
    }

    public async ValueTask<BucketState> TakeAsync(string bucket, int perMinute, long amount, bool force)
    {
        try
        {
            return await _pipeline.ExecuteAsync(async cancellation =>
            {
                var redis = (await _connection.Value.WaitAsync(cancellation)).GetDatabase();
                var result = (RedisResult[])(await redis.ScriptEvaluateAsync(Script, [$"trainserve:limit:{bucket}"], [perMinute, amount, force ? 1 : 0]).WaitAsync(cancellation))!;
                return TokenBucket.State(perMinute, (double)result[1], Math.Min(amount, perMinute), (int)result[0] == 1);
            });
        }
        catch (Exception exception) when (exception is RedisException or RedisTimeoutException or TimeoutRejectedException or BrokenCircuitException or OperationCanceledException)
        {
            return await _fallback.TakeAsync(bucket, perMinute, amount, force);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_connection.IsValueCreated)
        {
            await (await _connection.Value).DisposeAsync();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Redis does not answer: until it does, each server counts for itself.")]
    private partial void LogAway();
}
