namespace TrainServe.Training.Data.Downloading;

/// <summary>How <see cref="FileDownloader"/> waits and tries again.</summary>
public sealed record DownloadOptions
{
    /// <summary>Attempts after the first that may fail in a row without a single byte.</summary>
    public int Retries { get; init; } = 5;

    /// <summary>Before the second attempt; doubled with each, with some chance in it.</summary>
    public TimeSpan FirstDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A server that asks for more with Retry-After is not waited for.</summary>
    public TimeSpan LongestDelay { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>A connection that gives nothing for so long counts as broken.</summary>
    public TimeSpan Stall { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>What <see cref="FileDownloader"/> tells on its way.</summary>
/// <param name="Bytes">Of the file, on the disk.</param>
/// <param name="TotalBytes">Null where nobody said.</param>
public sealed record DownloadProgress(long Bytes, long? TotalBytes);

/// <summary>A finished file.</summary>
/// <param name="Path">Where.</param>
/// <param name="SizeBytes">How large.</param>
/// <param name="Sha256">Of its bytes.</param>
/// <param name="WasThere">Nothing was downloaded: the file existed and its hash was right.</param>
/// <param name="IsTrustedOnFirstUse">The catalogue knows no hash, and none had been recorded: this one now is.</param>
public sealed record DownloadedFile(string Path, long SizeBytes, string Sha256, bool WasThere, bool IsTrustedOnFirstUse);
