using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;
using TrainServe.Core.IO;

namespace TrainServe.Feedback.Storage;

/// <summary>How answers and feedback lie in the tables that <see cref="FeedbackSchema"/> makes.</summary>
internal sealed class FeedbackContext(DbContextOptions<FeedbackContext> options) : DbContext(options)
{
    public DbSet<StoredAnswer> Answers => Set<StoredAnswer>();

    public DbSet<FeedbackEntry> Feedback => Set<FeedbackEntry>();

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        modelBuilder.Entity<StoredAnswer>(answer =>
        {
            answer.ToTable("answers");
            answer.HasKey(row => row.Id);
            answer.Property(row => row.Id).HasColumnName("id").ValueGeneratedNever();
            answer.Property(row => row.Key).HasColumnName("api_key");
            answer.Property(row => row.Model).HasColumnName("model");
            answer.Property(row => row.ModelVersion).HasColumnName("model_version");
            answer.Property(row => row.Created).HasColumnName("created_ms").HasConversion(Milliseconds);
            answer.Property(row => row.PromptHash).HasColumnName("prompt_hash");
            Json(answer.Property(row => row.Prompt).HasColumnName("prompt"), MessageJson.Write, MessageJson.Read);
            Json(answer.Property(row => row.Choices).HasColumnName("choices"), MessageJson.WriteChoices, MessageJson.ReadChoices);
            Json(answer.Property(row => row.Sampling).HasColumnName("sampling"), Serialize, Deserialize<AnswerSampling>);
            Json(answer.Property(row => row.Metadata).HasColumnName("metadata"), Serialize, Deserialize<IReadOnlyDictionary<string, string>>);
        });
        modelBuilder.Entity<FeedbackEntry>(entry =>
        {
            entry.ToTable("feedback");
            entry.HasKey(row => row.Id);
            entry.Property(row => row.Id).HasColumnName("id").ValueGeneratedNever();
            entry.Property(row => row.AnswerId).HasColumnName("answer_id");
            entry.Property(row => row.Choice).HasColumnName("choice");
            entry.Property(row => row.Key).HasColumnName("api_key");
            entry.Property(row => row.Created).HasColumnName("created_ms").HasConversion(Milliseconds);
            entry.Property(row => row.Rating).HasColumnName("rating").HasConversion<string>();
            entry.Property(row => row.Score).HasColumnName("score");
            entry.Property(row => row.Edit).HasColumnName("edit");
            entry.Property(row => row.PreferredOverId).HasColumnName("preferred_over_id");
            entry.Property(row => row.PreferredOverChoice).HasColumnName("preferred_over_choice");
            entry.Property(row => row.Comment).HasColumnName("comment");
            Json(entry.Property(row => row.Labels).HasColumnName("labels"), Serialize, Deserialize<IReadOnlyList<string>>);
            entry.HasOne<StoredAnswer>().WithMany().HasForeignKey(row => row.AnswerId).OnDelete(DeleteBehavior.Cascade);
            entry.HasOne<StoredAnswer>().WithMany().HasForeignKey(row => row.PreferredOverId).OnDelete(DeleteBehavior.Cascade);
        });
    }

    // Numbers are ordered alike by every database.
    private static ValueConverter<DateTimeOffset, long> Milliseconds { get; } = new(time => time.ToUnixTimeMilliseconds(), value => DateTimeOffset.FromUnixTimeMilliseconds(value));

    // Values are replaced as a whole, never changed.
    private static void Json<T>(PropertyBuilder<T> property, Func<T, string> write, Func<string, T> read) where T : class =>
        property.HasConversion(new ValueConverter<T, string>(value => write(value), text => read(text)), new ValueComparer<T>((one, other) => ReferenceEquals(one, other), value => value.GetHashCode()));

    private static string Serialize<T>(T value) => JsonSerializer.Serialize(value, JsonFile.SnakeCaseLine);

    private static T Deserialize<T>(string text) => JsonSerializer.Deserialize<T>(text, JsonFile.SnakeCaseLine)!;
}
