using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Metadata;
using Microsoft.EntityFrameworkCore.Migrations;
using Microsoft.EntityFrameworkCore.Storage;

namespace TrainServe.Feedback.Storage;

/// <summary>The tables, in steps: a store says how many of them it has, and gets those that it lacks when a server starts with it.</summary>
/// <remarks>EF Core's own migrations lock an SQLite file by a row that a killed process leaves behind; a transaction ends with the process.</remarks>
internal static class FeedbackSchema
{
    private const long AdvisoryLock = 0x747261696e666262;

    /// <summary>Step i leads from version i to version i + 1.</summary>
    public static IReadOnlyList<Action<MigrationBuilder>> Steps { get; } = [MakeTables];

    /// <summary>Brings a new or an older store to the last version. Several processes may do so at once.</summary>
    /// <exception cref="InvalidDataException">The store is of a later version.</exception>
    public static async Task BringUpToDateAsync(FeedbackContext context, IReadOnlyList<Action<MigrationBuilder>> steps, CancellationToken cancellationToken)
    {
        var database = context.Database;
        await using var transaction = await database.BeginTransactionAsync(cancellationToken); // SQLite: the file is ours from here on
        if (database.IsNpgsql())
        {
            await database.ExecuteSqlAsync($"SELECT pg_advisory_xact_lock({AdvisoryLock})", cancellationToken);
        }
        await database.ExecuteSqlAsync($"CREATE TABLE IF NOT EXISTS feedback_schema (version integer NOT NULL)", cancellationToken);
        int version = await ReadVersionAsync(context, cancellationToken) ?? 0;
        RequireNotLater(version, steps.Count);
        var missing = new MigrationBuilder(database.ProviderName);
        foreach (var step in steps.Skip(version))
        {
            step(missing);
        }
        var commands = context.GetService<IMigrationsSqlGenerator>().Generate(missing.Operations, context.GetService<IDesignTimeModel>().Model);
        await context.GetService<IMigrationCommandExecutor>().ExecuteNonQueryAsync(commands, context.GetService<IRelationalConnection>(), cancellationToken);
        // Written also where nothing changed: a store that cannot be written is found out now and not with the first answer.
        await database.ExecuteSqlAsync($"DELETE FROM feedback_schema", cancellationToken);
        await database.ExecuteSqlAsync($"INSERT INTO feedback_schema (version) VALUES ({steps.Count})", cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    /// <exception cref="InvalidDataException">The store is of another version.</exception>
    public static async Task RequireCurrentAsync(FeedbackContext context, CancellationToken cancellationToken)
    {
        int version = await ReadVersionAsync(context, cancellationToken) ?? 0;
        RequireNotLater(version, Steps.Count);
        if (version < Steps.Count)
        {
            throw new InvalidDataException($"it is of version {version}, and this program reads version {Steps.Count}; start the server with it once, which brings it up to date");
        }
    }

    private static async Task<int?> ReadVersionAsync(FeedbackContext context, CancellationToken cancellationToken) =>
        (await context.Database.SqlQuery<int?>($"SELECT max(version) AS \"Value\" FROM feedback_schema").ToListAsync(cancellationToken)).Single();

    private static void RequireNotLater(int version, int known)
    {
        if (version > known)
        {
            throw new InvalidDataException($"it is of version {version}, which a later program made; this one knows up to {known}");
        }
    }

    private static void MakeTables(MigrationBuilder schema)
    {
        schema.CreateTable("answers", table => new
        {
            id = table.Column<string>(),
            api_key = table.Column<string>(),
            model = table.Column<string>(),
            model_version = table.Column<string>(),
            created_ms = table.Column<long>(),
            prompt_hash = table.Column<string>(),
            prompt = table.Column<string>(),
            choices = table.Column<string>(),
            sampling = table.Column<string>(),
            metadata = table.Column<string>(),
        }, constraints: table => table.PrimaryKey("pk_answers", row => row.id));
        schema.CreateIndex("ix_answers_created", "answers", "created_ms");
        schema.CreateTable("feedback", table => new
        {
            id = table.Column<string>(),
            answer_id = table.Column<string>(),
            choice = table.Column<int>(),
            api_key = table.Column<string>(),
            created_ms = table.Column<long>(),
            rating = table.Column<string>(nullable: true),
            score = table.Column<int>(nullable: true),
            edit = table.Column<string>(nullable: true),
            preferred_over_id = table.Column<string>(nullable: true),
            preferred_over_choice = table.Column<int>(nullable: true),
            comment = table.Column<string>(nullable: true),
            labels = table.Column<string>(),
        }, constraints: table =>
        {
            table.PrimaryKey("pk_feedback", row => row.id);
            table.ForeignKey("fk_feedback_answer", row => row.answer_id, "answers", "id", onDelete: ReferentialAction.Cascade);
            table.ForeignKey("fk_feedback_preferred_over", row => row.preferred_over_id, "answers", "id", onDelete: ReferentialAction.Cascade);
        });
        schema.CreateIndex("ix_feedback_answer", "feedback", "answer_id");
        schema.CreateIndex("ix_feedback_preferred_over", "feedback", "preferred_over_id");
    }
}
