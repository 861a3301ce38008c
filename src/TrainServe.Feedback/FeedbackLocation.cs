using Microsoft.Data.Sqlite;
using Npgsql;

namespace TrainServe.Feedback;

/// <summary>The kinds of databases that can hold feedback.</summary>
public enum FeedbackDatabase
{
    /// <summary>A file, for one machine.</summary>
    Sqlite,

    /// <summary>A server, for several replicas.</summary>
    Postgres,
}

/// <summary>Where answers and feedback are kept.</summary>
/// <param name="Kind">Which database.</param>
/// <param name="ConnectionString">How it is reached.</param>
/// <param name="Shown">For messages; it holds no password.</param>
public sealed record FeedbackLocation(FeedbackDatabase Kind, string ConnectionString, string Shown)
{
    /// <summary>How a location is written, as the end of a sentence.</summary>
    public const string Form = "sqlite:PATH or postgres:CONNECTION STRING, as sqlite:/var/lib/trainserve/feedback.db or postgres:Host=db;Username=trainserve;Password=...;Database=feedback";

    private const string Sqlite = "sqlite:", Postgres = "postgres:";
    private const int BusySeconds = 10, ConnectSeconds = 5, CommandSeconds = 10;

    /// <summary>The file of an SQLite database; null for others.</summary>
    public string? Path { get; private init; }

    /// <summary>Reads <c>sqlite:PATH</c> or <c>postgres:CONNECTION STRING</c>.</summary>
    /// <param name="text">What an operator wrote.</param>
    /// <param name="fault">Why it is neither, as the end of a sentence, where null is returned.</param>
    public static FeedbackLocation? TryParse(string text, out string? fault)
    {
        ArgumentNullException.ThrowIfNull(text);
        fault = null;
        if (text.StartsWith(Sqlite, StringComparison.Ordinal) && text.Length > Sqlite.Length)
        {
            string path = System.IO.Path.GetFullPath(text[Sqlite.Length..]);
            // The time that a writer waits for another is that of a command.
            var connection = new SqliteConnectionStringBuilder { DataSource = path, ForeignKeys = true, DefaultTimeout = BusySeconds };
            return new FeedbackLocation(FeedbackDatabase.Sqlite, connection.ConnectionString, Sqlite + path) { Path = path };
        }
        if (text.StartsWith(Postgres, StringComparison.Ordinal))
        {
            return OfPostgres(text[Postgres.Length..], out fault);
        }
        fault = $"it must be {Form}";
        return null;
    }

    private static FeedbackLocation? OfPostgres(string text, out string? fault)
    {
        fault = null;
        NpgsqlConnectionStringBuilder connection;
        try
        {
            connection = new NpgsqlConnectionStringBuilder(text);
        }
        catch (Exception error) when (error is ArgumentException or FormatException)
        {
            // Its message could repeat what was given, and that may be a password.
            fault = $"what follows postgres: is not a connection string; it must be {Form}";
            return null;
        }
        if (string.IsNullOrEmpty(connection.Host))
        {
            fault = $"what follows postgres: names no Host; it must be {Form}";
            return null;
        }
        if (!text.Contains("Timeout", StringComparison.OrdinalIgnoreCase))
        {
            (connection.Timeout, connection.CommandTimeout) = (ConnectSeconds, CommandSeconds);
        }
        return new FeedbackLocation(FeedbackDatabase.Postgres, connection.ConnectionString, $"{Postgres}{connection.Host}/{connection.Database ?? connection.Username}");
    }
}
