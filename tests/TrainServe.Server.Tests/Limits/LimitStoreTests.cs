using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using TrainServe.Server.Limits;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Limits;

public sealed class LimitStoreTests
{
    [Fact]
    public async Task A_bucket_gives_a_minutes_worth_and_fills_evenly()
    {
        var time = new ManualTime();
        var store = new MemoryLimitStore(time);
        for (int left = 59; left >= 0; left--)
        {
            Assert.Equal((true, left), ((await store.TakeAsync("a", 60, 1, false)).Allowed, (int)(await store.TakeAsync("a", 60, 0, true)).Remaining));
        }
        var refused = await store.TakeAsync("a", 60, 1, false);
        Assert.Equal((false, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(60)), (refused.Allowed, refused.RetryAfter, refused.FullAfter));
        Assert.True((await store.TakeAsync("b", 60, 1, false)).Allowed);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.True((await store.TakeAsync("a", 60, 1, false)).Allowed);
        Assert.False((await store.TakeAsync("a", 60, 1, false)).Allowed);
        time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(59, (await store.TakeAsync("a", 60, 1, false)).Remaining);
    }

    [Fact]
    public async Task What_is_more_than_a_bucket_is_given_out_of_a_full_one_and_then_owed()
    {
        var time = new ManualTime();
        var store = new MemoryLimitStore(time);
        Assert.True((await store.TakeAsync("a", 60, 180, false)).Allowed);
        var refused = await store.TakeAsync("a", 60, 1, false);
        Assert.Equal((false, 0, TimeSpan.FromSeconds(121)), (refused.Allowed, refused.Remaining, refused.RetryAfter));
        time.Advance(TimeSpan.FromSeconds(121));
        Assert.True((await store.TakeAsync("a", 60, 1, false)).Allowed);
    }

    [Fact]
    public async Task In_Redis_two_servers_hold_one_limit_and_without_Redis_each_its_own()
    {
        using var redis = await RedisServer.StartAsync();
        await using var one = new RedisLimitStore(redis.Configuration, TimeProvider.System, NullLogger<RedisLimitStore>.Instance, TimeSpan.FromSeconds(20));
        await using var other = new RedisLimitStore(redis.Configuration, TimeProvider.System, NullLogger<RedisLimitStore>.Instance, TimeSpan.FromSeconds(20));
        await using var impatient = new RedisLimitStore(redis.Configuration, TimeProvider.System, NullLogger<RedisLimitStore>.Instance);
        // A minute's worth is so much that what flows in during the test is less than one.
        await Eventually.AssertAsync(async () => (await one.TakeAsync("ready", 6, 1, true)).Remaining == 5 || (await one.TakeAsync("ready", 6, 0, true)).Remaining < 5);
        int allowed = 0;
        for (int i = 0; i < 5; i++)
        {
            allowed += (await one.TakeAsync("ann", 6, 1, false)).Allowed ? 1 : 0;
            allowed += (await other.TakeAsync("ann", 6, 1, false)).Allowed ? 1 : 0;
        }
        Assert.Equal(6, allowed);
        var refused = await one.TakeAsync("ann", 6, 1, false);
        Assert.InRange(refused.RetryAfter.TotalSeconds, 1, 10);
        Assert.True((await one.TakeAsync("ann", 6, 60, true)).FullAfter > TimeSpan.FromMinutes(9));
        redis.Dispose();
        for (int i = 0; i < 8; i++)
        {
            var watch = Stopwatch.StartNew();
            await impatient.TakeAsync("bob", 60, 1, false);
            Assert.InRange(watch.Elapsed.TotalSeconds, 0, 5);
        }
        Assert.True((await impatient.TakeAsync("ann", 6, 1, false)).Allowed);
    }

    [Theory]
    [InlineData(0, "0s")]
    [InlineData(0.02, "20ms")]
    [InlineData(1.5, "1.5s")]
    [InlineData(360, "6m0s")]
    [InlineData(3661.25, "61m1.25s")]
    public void Durations_are_written_as_OpenAI_writes_them(double seconds, string expected) => Assert.Equal(expected, RateLimits.Duration(TimeSpan.FromSeconds(seconds)));

    [Fact]
    public void The_time_to_come_back_follows_the_measured_rate()
    {
        var time = new ManualTime();
        var rate = new AnswerRate(time);
        Assert.Equal(TimeSpan.FromSeconds(1), rate.RetryAfter(100));
        for (int i = 0; i < 100; i++)
        {
            // Idle time between them says nothing of how fast the model is.
            time.Advance(TimeSpan.FromMinutes(1));
            rate.Began();
            time.Advance(TimeSpan.FromSeconds(0.5));
            rate.Ended(answered: true);
        }
        // Two answers a second; half of forty are done in ten.
        Assert.Equal(10, rate.RetryAfter(40).TotalSeconds, 1e-6);
        Assert.Equal(TimeSpan.FromSeconds(120), rate.RetryAfter(100_000));
    }

    [Fact]
    public void Answers_that_are_made_together_share_the_time_and_those_that_were_left_add_to_it()
    {
        var time = new ManualTime();
        var rate = new AnswerRate(time);
        for (int i = 0; i < 4; i++)
        {
            rate.Began();
        }
        time.Advance(TimeSpan.FromSeconds(8));
        rate.Ended(answered: false);
        rate.Ended(answered: false);
        rate.Ended(answered: true);
        rate.Ended(answered: true);
        // Two answers in eight seconds; half of ten waiting are five.
        Assert.Equal(20, rate.RetryAfter(10).TotalSeconds, 1e-6);
    }

    private sealed class ManualTime : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;
        public override long GetTimestamp() => _ticks;
        public void Advance(TimeSpan by) => _ticks += by.Ticks;
    }
}
