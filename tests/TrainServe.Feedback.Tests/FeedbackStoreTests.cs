using System.Text;
using CsCheck;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using TrainServe.Feedback.Storage;
using TrainServe.TestSupport;

namespace TrainServe.Feedback.Tests;

public sealed class FeedbackStoreTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _directory.Dispose();
    }

    [Fact]
    public async Task It_does_what_a_plain_list_would_do()
    {
        int number = 0;
        await StoreComparison.Operations.SampleAsync(async operations =>
        {
            var store = await OpenAsync($"{Interlocked.Increment(ref number)}.db");
            await StoreComparison.AssertSameAsync(store, operations);
        }, iter: 30, threads: 2);
    }

    [Fact]
    public async Task Writers_at_the_same_time_lose_no_row()
    {
        const int writers = 8, answers = 25;
        // Each has its own connections, as processes do.
        await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(async () =>
        {
            var store = await OpenAsync("one.db");
            for (int i = 0; i < answers; i++)
            {
                await store.AddAsync([Answers.Make($"w{writer}-{i}", "p", "text")]);
                Assert.True(await store.SayAsync(Answers.Say($"w{writer}-{i}", rating: Rating.Up)));
            }
        })));
        var all = await (await OpenAsync("one.db")).ReadAsync(null, null);
        Assert.Equal(writers * answers, all.Count);
        Assert.All(all, item => Assert.Equal(Rating.Up, Assert.Single(item.Entries).Rating));
    }

    [Fact]
    public async Task One_thing_that_is_said_many_times_at_once_is_there_once()
    {
        var store = await OpenAsync("one.db");
        await store.AddAsync([Answers.Make("a", "p", "text")]);
        bool?[] isNew = await Task.WhenAll(Enumerable.Range(1, 16).Select(i => Task.Run(() => store.SayAsync(Answers.Say("a", score: i % 5 + 1)))));
        Assert.Single(isNew, value => value == true);
        Assert.Single(Assert.Single(await store.ReadAsync(null, null)).Entries);
    }

    [Fact]
    public async Task Answers_that_come_a_second_time_change_nothing()
    {
        var store = await OpenAsync("one.db");
        await store.AddAsync([Answers.Make("a", "p", "first")]);
        await store.AddAsync([Answers.Make("a", "p", "second"), Answers.Make("b", "p", "third")]);
        Assert.Equal("first", (await store.FindAnswerAsync("a", "ann"))!.Choices[0].Message.Content);
        Assert.NotNull(await store.FindAnswerAsync("b", "ann"));
    }

    [Fact]
    public async Task What_is_removed_is_no_longer_in_the_file()
    {
        var store = await OpenAsync("one.db");
        await store.AddAsync([Answers.Make("a", "my secret question", "an answer that is secret"), Answers.Make("b", "another", "that stays")]);
        await store.SayAsync(Answers.Say("a", edit: "a correction that is secret"));
        Assert.Contains("secret", Bytes(), StringComparison.Ordinal);
        Assert.True(await store.DeleteAnswerAsync("a", "ann"));
        Assert.DoesNotContain("secret", Bytes(), StringComparison.Ordinal);
        Assert.Contains("that stays", Bytes(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_store_of_an_earlier_version_gets_the_steps_that_it_lacks_and_one_of_a_later_is_refused()
    {
        var location = Location("one.db");
        await new FeedbackStore(location).PrepareAsync();
        await using (var context = new FeedbackContext(new DbContextOptionsBuilder<FeedbackContext>().UseSqlite(location.ConnectionString).Options))
        {
            // As a later program would: a column more, once.
            for (int start = 0; start < 2; start++)
            {
                await FeedbackSchema.BringUpToDateAsync(context, [.. FeedbackSchema.Steps, schema => schema.AddColumn<string>("language", "answers", nullable: true)], default);
            }
            await context.Database.ExecuteSqlAsync($"UPDATE answers SET language = 'en'");
        }
        foreach (Func<Task> use in (Func<Task>[])[() => new FeedbackStore(location).PrepareAsync(), () => new FeedbackStore(location).RequireAsync()])
        {
            var error = await Assert.ThrowsAsync<InvalidDataException>(use);
            Assert.Contains($"sqlite:{_directory.PathOf("one.db")} ", error.Message, StringComparison.Ordinal);
            Assert.EndsWith("it is of version 2, which a later program made; this one knows up to 1.", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_file_that_is_none_of_ours_is_refused_with_a_sentence()
    {
        _directory.WriteText("broken.db", new string('x', 8192));
        var store = new FeedbackStore(Location("broken.db"));
        Assert.Equal($"sqlite:{_directory.PathOf("broken.db")} cannot hold feedback: SQLite Error 26: 'file is not a database'.", (await Assert.ThrowsAsync<InvalidDataException>(() => store.PrepareAsync())).Message);
        Assert.Equal($"sqlite:{_directory.PathOf("broken.db")} holds no feedback that can be read: SQLite Error 26: 'file is not a database'.", (await Assert.ThrowsAsync<InvalidDataException>(() => store.RequireAsync())).Message);
        Assert.Equal($"{_directory.PathOf("none.db")} does not exist.", (await Assert.ThrowsAsync<FileNotFoundException>(() => new FeedbackStore(Location("none.db")).RequireAsync())).Message);
        Assert.False(File.Exists(_directory.PathOf("none.db")));
    }

    [Fact]
    public async Task A_full_disk_is_reported_and_the_store_is_whole_when_there_is_room_again()
    {
        using var disk = SmallDisk.Mount(_directory.PathOf("disk"), 2);
        var store = await OpenAsync("disk/one.db");
        await store.AddAsync([Answers.Make("a", "p", "text")]);
        disk.Fill(leaveBytes: 0);
        var large = Answers.Make("b", "p", new string('x', 300_000));
        var error = await Assert.ThrowsAsync<FeedbackStoreException>(() => store.AddAsync([large]));
        Assert.Contains("database or disk is full", error.Message, StringComparison.Ordinal);
        // A server that starts now says so at once.
        SqliteConnection.ClearAllPools();
        Assert.Contains(" cannot hold feedback: ", (await Assert.ThrowsAsync<InvalidDataException>(() => new FeedbackStore(Location("disk/new.db")).PrepareAsync())).Message, StringComparison.Ordinal);
        disk.MakeRoom();
        await store.AddAsync([large]);
        Assert.NotNull(await store.FindAnswerAsync("a", "ann"));
        Assert.NotNull(await store.FindAnswerAsync("b", "ann"));
        SqliteConnection.ClearAllPools();
    }

    [Theory]
    [InlineData("feedback.db", "it must be sqlite:PATH or postgres:")]
    [InlineData("sqlite:", "it must be sqlite:PATH or postgres:")]
    [InlineData("postgres:Database=x", "what follows postgres: names no Host")]
    [InlineData("postgres:Host=db;Secrret=hush", "what follows postgres: is not a connection string")]
    public void A_location_that_is_none_is_refused_without_repeating_it(string text, string fault)
    {
        Assert.Null(FeedbackLocation.TryParse(text, out string? said));
        Assert.StartsWith(fault, said, StringComparison.Ordinal);
        Assert.DoesNotContain("hush", said, StringComparison.Ordinal);
    }

    [Fact]
    public void A_location_is_shown_without_its_password()
    {
        var location = FeedbackLocation.TryParse("postgres:Host=db;Username=u;Password=hush;Database=feedback", out _)!;
        Assert.Equal("postgres:db/feedback", location.Shown);
        Assert.Contains("Password=hush", location.ConnectionString, StringComparison.Ordinal);
    }

    private string Bytes() => string.Concat(Directory.GetFiles(_directory.FullName, "one.db*").Order(StringComparer.Ordinal).Select(Read));

    private static string Read(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(file, Encoding.Latin1);
        return reader.ReadToEnd();
    }

    private FeedbackLocation Location(string file) => FeedbackLocation.TryParse("sqlite:" + _directory.PathOf(file), out _)!;

    private async Task<FeedbackStore> OpenAsync(string file)
    {
        var store = new FeedbackStore(Location(file));
        await store.PrepareAsync();
        return store;
    }
}
