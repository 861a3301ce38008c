using System.Data.Common;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using TrainServe.Feedback.Storage;

namespace TrainServe.Feedback;

/// <summary>Answers that were kept, and what was said of them.</summary>
/// <remarks>Safe for many threads and many processes: writers of an SQLite file wait for each other (write-ahead log, busy timeout), PostgreSQL sorts them out itself.</remarks>
public sealed class FeedbackStore
{
    private const int MostAttempts = 3;
    private readonly FeedbackLocation _location;
    private readonly PooledDbContextFactory<FeedbackContext> _contexts;

    /// <summary>Touches nothing yet.</summary>
    public FeedbackStore(FeedbackLocation location)
    {
        ArgumentNullException.ThrowIfNull(location);
        _location = location;
        var options = new DbContextOptionsBuilder<FeedbackContext>();
        _ = location.Kind == FeedbackDatabase.Sqlite ? options.UseSqlite(location.ConnectionString) : options.UseNpgsql(location.ConnectionString);
        _contexts = new PooledDbContextFactory<FeedbackContext>(options.Options);
    }

    /// <summary>Makes the tables where they are missing, and brings older ones up to date.</summary>
    /// <exception cref="InvalidDataException">It is no store of ours, is of a later version, or cannot be reached or written; the message says which.</exception>
    public async Task PrepareAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            await using var context = await _contexts.CreateDbContextAsync(cancellationToken);
            if (_location.Path is { } path)
            {
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                await context.Database.ExecuteSqlAsync($"PRAGMA journal_mode = WAL", cancellationToken);
            }
            await FeedbackSchema.BringUpToDateAsync(context, FeedbackSchema.Steps, cancellationToken);
        }
        catch (Exception fault) when (fault is DbException or IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new InvalidDataException($"{_location.Shown} cannot hold feedback: {fault.Message.TrimEnd('.')}.", fault);
        }
    }

    /// <summary>For who only reads: what is there must be a store of this version.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public async Task RequireAsync(CancellationToken cancellationToken = default)
    {
        if (_location.Path is { } path && !File.Exists(path))
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        try
        {
            await using var context = await _contexts.CreateDbContextAsync(cancellationToken);
            await FeedbackSchema.RequireCurrentAsync(context, cancellationToken);
        }
        catch (Exception fault) when (fault is DbException or InvalidDataException)
        {
            throw new InvalidDataException($"{_location.Shown} holds no feedback that can be read: {fault.Message.TrimEnd('.')}.", fault);
        }
    }

    /// <summary>Adds answers, all or none. Those that are there already stay as they are.</summary>
    /// <exception cref="FeedbackStoreException">The store failed.</exception>
    public Task AddAsync(IReadOnlyList<StoredAnswer> answers, CancellationToken cancellationToken = default) => RunAsync(async context =>
    {
        // A writer that tries again does not know whether its first try came through.
        string[] ids = [.. answers.Select(answer => answer.Id)];
        var there = await context.Answers.Where(row => ids.Contains(row.Id)).Select(row => row.Id).ToHashSetAsync(StringComparer.Ordinal, cancellationToken);
        context.Answers.AddRange(answers.Where(answer => there.Add(answer.Id)));
        return await context.SaveChangesAsync(cancellationToken);
    }, cancellationToken);

    /// <summary>An answer that was made for this key; null where there is none.</summary>
    /// <exception cref="FeedbackStoreException">The store failed.</exception>
    public Task<StoredAnswer?> FindAnswerAsync(string id, string key, CancellationToken cancellationToken = default) =>
        RunAsync(context => context.Answers.AsNoTracking().SingleOrDefaultAsync(row => row.Id == id && row.Key == key, cancellationToken), cancellationToken);

    /// <summary>Keeps what was said, in the place of what the same key said of the same before.</summary>
    /// <returns>Whether it is new; null when the answer is no longer there.</returns>
    /// <exception cref="FeedbackStoreException">The store failed.</exception>
    public async Task<bool?> SayAsync(FeedbackEntry entry, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(entry);
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await RunAsync(context => SayAsync(context, entry, cancellationToken), cancellationToken);
            }
            catch (FeedbackStoreException fault) when (fault.InnerException is DbUpdateException)
            {
                if (await FindAnswerAsync(entry.AnswerId, entry.Key, cancellationToken) is null
                    || (entry.PreferredOverId is { } other && await FindAnswerAsync(other, entry.Key, cancellationToken) is null))
                {
                    return null;
                }
                if (attempt == MostAttempts)
                {
                    throw;
                }
                // Another writer came first with the same entry, and the next attempt finds it.
            }
        }
    }

    /// <summary>What a key said, by its name; null where there is no such thing.</summary>
    /// <exception cref="FeedbackStoreException">The store failed.</exception>
    public Task<FeedbackEntry?> FindAsync(string id, string key, CancellationToken cancellationToken = default) =>
        RunAsync(context => context.Feedback.AsNoTracking().SingleOrDefaultAsync(row => row.Id == id && row.Key == key, cancellationToken), cancellationToken);

    /// <returns>Whether it was there.</returns>
    /// <exception cref="FeedbackStoreException">The store failed.</exception>
    public Task<bool> DeleteAsync(string id, string key, CancellationToken cancellationToken = default) =>
        EraseAsync(async context => await context.Feedback.Where(row => row.Id == id && row.Key == key).ExecuteDeleteAsync(cancellationToken) > 0, cancellationToken);

    /// <summary>Removes an answer with all that was said of it.</summary>
    /// <inheritdoc cref="DeleteAsync"/>
    public Task<bool> DeleteAnswerAsync(string id, string key, CancellationToken cancellationToken = default) =>
        EraseAsync(async context => await context.Answers.Where(row => row.Id == id && row.Key == key).ExecuteDeleteAsync(cancellationToken) > 0, cancellationToken);

    /// <summary>Removes answers that were made before, with all that was said of them.</summary>
    /// <returns>How many answers went.</returns>
    /// <exception cref="FeedbackStoreException">The store failed.</exception>
    public Task<int> DeleteOlderAsync(DateTimeOffset before, CancellationToken cancellationToken = default) =>
        EraseAsync(context => context.Answers.Where(row => row.Created < before).ExecuteDeleteAsync(cancellationToken), cancellationToken);

    /// <summary>All that was said, with the answers that it speaks of, in the order of their time and id.</summary>
    /// <param name="since">Only of answers that were made then or later; null for all.</param>
    /// <param name="model">Only of this model's answers; null for all.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="FeedbackStoreException">The store failed.</exception>
    public Task<IReadOnlyList<JudgedAnswer>> ReadAsync(DateTimeOffset? since, string? model, CancellationToken cancellationToken = default) => RunAsync(async context =>
    {
        // Two moments of the store, without holding up who writes: what is removed in between is missing among the answers.
        var entries = await context.Feedback.AsNoTracking().ToListAsync(cancellationToken);
        var answers = context.Answers.AsNoTracking().Where(row => context.Feedback.Any(entry => entry.AnswerId == row.Id || entry.PreferredOverId == row.Id));
        if (since is { } first)
        {
            answers = answers.Where(row => row.Created >= first);
        }
        if (model is not null)
        {
            answers = answers.Where(row => row.Model == model);
        }
        var kept = await answers.ToListAsync(cancellationToken);
        var said = entries.ToLookup(entry => entry.AnswerId, StringComparer.Ordinal);
        return (IReadOnlyList<JudgedAnswer>)[.. kept.OrderBy(answer => answer.Created).ThenBy(answer => answer.Id, StringComparer.Ordinal)
            .Select(answer => new JudgedAnswer(answer, [.. said[answer.Id].OrderBy(entry => entry.Created).ThenBy(entry => entry.Id, StringComparer.Ordinal)]))];
    }, cancellationToken);

    private static async Task<bool?> SayAsync(FeedbackContext context, FeedbackEntry entry, CancellationToken cancellationToken)
    {
        var before = await context.Feedback.SingleOrDefaultAsync(row => row.Id == entry.Id && row.Key == entry.Key, cancellationToken);
        if (before is null)
        {
            context.Feedback.Add(entry);
        }
        else
        {
            (before.Created, before.Rating, before.Score, before.Edit, before.Comment, before.Labels) = (entry.Created, entry.Rating, entry.Score, entry.Edit, entry.Comment, entry.Labels);
        }
        await context.SaveChangesAsync(cancellationToken);
        return before is null;
    }

    // What is removed for privacy shall not lie in the file's free pages or in its log either.
    private Task<T> EraseAsync<T>(Func<FeedbackContext, Task<T>> erase, CancellationToken cancellationToken) => RunAsync(async context =>
    {
        if (_location.Kind == FeedbackDatabase.Postgres)
        {
            return await erase(context);
        }
        await context.Database.OpenConnectionAsync(cancellationToken);
        await context.Database.ExecuteSqlAsync($"PRAGMA secure_delete = ON", cancellationToken);
        var result = await erase(context);
        try
        {
            await context.Database.ExecuteSqlAsync($"PRAGMA wal_checkpoint(TRUNCATE)", cancellationToken);
        }
        catch (SqliteException)
        {
            // Somebody reads the log at this moment; the next checkpoint takes it.
        }
        return result;
    }, cancellationToken);

    private async Task<T> RunAsync<T>(Func<FeedbackContext, Task<T>> work, CancellationToken cancellationToken)
    {
        try
        {
            await using var context = await _contexts.CreateDbContextAsync(cancellationToken);
            return await work(context);
        }
        catch (Exception fault) when (fault is DbException or DbUpdateException or InvalidOperationException or TimeoutException)
        {
            throw new FeedbackStoreException($"{_location.Shown} failed: {fault.GetBaseException().Message}", fault);
        }
    }
}

/// <summary>An answer with what was said of it.</summary>
public sealed record JudgedAnswer(StoredAnswer Answer, IReadOnlyList<FeedbackEntry> Entries);
