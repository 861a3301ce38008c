using CsCheck;
using TrainServe.TestSupport;

namespace TrainServe.Feedback.Tests;

/// <summary>The same store in PostgreSQL's own server.</summary>
public sealed class PostgresTests
{
    [Fact]
    [Trait("Category", "Slow")]
    public async Task It_does_what_a_plain_list_would_do_and_writers_at_the_same_time_lose_no_row()
    {
        await using var server = await PostgresServer.StartAsync();
        // Two replicas start at once with an empty database.
        var location = FeedbackLocation.TryParse("postgres:" + server.Connection, out _)!;
        FeedbackStore[] replicas = [new(location), new(location)];
        await Task.WhenAll(replicas.Select(replica => replica.PrepareAsync()));
        await replicas[1].RequireAsync();

        await StoreComparison.Operations.SampleAsync(async operations =>
        {
            await replicas[0].DeleteOlderAsync(DateTimeOffset.MaxValue);
            await StoreComparison.AssertSameAsync(replicas[0], operations);
        }, iter: 10, threads: 1);

        await replicas[0].DeleteOlderAsync(DateTimeOffset.MaxValue);
        const int writers = 8, answers = 10;
        await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(async () =>
        {
            for (int i = 0; i < answers; i++)
            {
                await replicas[writer % 2].AddAsync([Answers.Make($"w{writer}-{i}", "p", "text")]);
                await replicas[i % 2].SayAsync(Answers.Say($"w{writer}-{i}", rating: Rating.Up));
                await replicas[i % 2].SayAsync(Answers.Say("w0-0", score: 3));
            }
        })));
        var all = await replicas[1].ReadAsync(null, null);
        Assert.Equal(writers * answers, all.Count);
        Assert.All(all, item => Assert.Single(item.Entries));
    }

    [Fact]
    public async Task A_server_that_is_away_is_a_sentence_without_the_password()
    {
        var location = FeedbackLocation.TryParse($"postgres:Host=127.0.0.1;Port={FreePort.Find()};Username=u;Password=hush;Database=d", out _)!;
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => new FeedbackStore(location).PrepareAsync());
        Assert.StartsWith("postgres:127.0.0.1/d cannot hold feedback: ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("hush", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<FeedbackStoreException>(() => new FeedbackStore(location).FindAnswerAsync("a", "ann"));
    }
}
