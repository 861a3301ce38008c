using System.Net;
using System.Net.Http.Headers;
using Polly;
using Polly.Retry;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;

namespace TrainServe.Training.Data.Downloading;

/// <summary>Downloads a file that appears under its name only when it is whole and its hash is right.</summary>
/// <remarks>
/// What has arrived lies in <c>FILE.part</c> and stays there when the connection, the disk or the user stops; the next attempt asks for the rest (Range, and If-Range so that a file that changed meanwhile
/// is sent whole). Where the catalogue knows no hash, the first download is trusted: its hash is written to <c>FILE.sha256</c>, and a later download must have the same.
/// </remarks>
public sealed class FileDownloader
{
    private const int BufferBytes = 1 << 17;
    private readonly HttpClient _client;
    private readonly DownloadOptions _options;
    private readonly Action<string> _notice;
    private readonly TimeProvider _time;

    /// <param name="client">Must not unpack what it receives; see <see cref="CreateClient"/>.</param>
    /// <param name="options">How to wait.</param>
    /// <param name="notice">Is told what goes wrong and is tried again.</param>
    /// <param name="time">For waiting.</param>
    public FileDownloader(HttpClient client, DownloadOptions options, Action<string> notice, TimeProvider time) => (_client, _options, _notice, _time) = (client, options, notice, time);

    /// <summary>A client that leaves bytes as they are and has no limit for a whole file.</summary>
    public static HttpClient CreateClient()
    {
        var client = new HttpClient(new SocketsHttpHandler { AutomaticDecompression = DecompressionMethods.None, ConnectTimeout = TimeSpan.FromSeconds(30) }) { Timeout = Timeout.InfiniteTimeSpan };
        client.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("trainserve", "0.1"));
        client.DefaultRequestHeaders.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
        return client;
    }

    /// <summary>Fetches a file into a directory, or finds it there.</summary>
    /// <param name="file">Which.</param>
    /// <param name="directory">Made when it does not exist.</param>
    /// <param name="progress">Is told after every part that arrived.</param>
    /// <param name="cancellationToken">Stops; what has arrived is kept.</param>
    /// <exception cref="IOException">The network or the disk failed, the message says which and what is kept.</exception>
    /// <exception cref="InvalidDataException">The bytes are not those that the catalogue, or the first download, names.</exception>
    public async Task<DownloadedFile> FetchAsync(DatasetFile file, string directory, Action<DownloadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        Directory.CreateDirectory(directory);
        string destination = Path.Combine(directory, file.Name), record = destination + ".sha256";
        string? expected = file.Sha256.Length > 0 ? file.Sha256 : Recorded(record);
        if (File.Exists(destination))
        {
            string found = FileHash.OfFile(destination);
            bool isRight = expected is null || expected == found;
            return !isRight ? throw new InvalidDataException($"{destination} is there and has SHA-256 {found}, where {Source(file, record)} says {expected}; remove it to download it again.")
                : new DownloadedFile(destination, new FileInfo(destination).Length, found, WasThere: true, Record(file, record, found, expected));
        }
        var part = new PartialFile(destination);
        bool isResumed = part.SizeBytes > 0;
        while (true)
        {
            await ReceiveAllAsync(file, part, canResume: expected is not null, progress, cancellationToken);
            string hash = FileHash.OfFile(part.Path);
            if (expected is null || expected == hash)
            {
                part.MoveTo(destination);
                return new DownloadedFile(destination, new FileInfo(destination).Length, hash, WasThere: false, Record(file, record, hash, expected));
            }
            part.Remove();
            if (!isResumed)
            {
                throw new InvalidDataException($"{file.Url} has SHA-256 {hash}, where {Source(file, record)} says {expected}: it is not the file that is meant, or was damaged on its way. It was removed.");
            }
            _notice($"{file.Name}: an earlier part does not fit the rest; once more from the beginning.");
            isResumed = false;
        }
    }

    private static string Source(DatasetFile file, string record) => file.Sha256.Length > 0 ? "the catalogue" : $"{record}, written at the first download,";

    private static string? Recorded(string record) => File.Exists(record) && File.ReadAllText(record).Split(' ')[0] is { Length: 64 } hash ? hash : null;

    private static bool Record(DatasetFile file, string record, string hash, string? expected)
    {
        if (expected is not null)
        {
            return false;
        }
        // As sha256sum writes and checks it.
        DurableFile.Write(record, System.Text.Encoding.ASCII.GetBytes($"{hash}  {file.Name}\n"));
        return true;
    }

    private async Task ReceiveAllAsync(DatasetFile file, PartialFile part, bool canResume, Action<DownloadProgress>? progress, CancellationToken cancellationToken)
    {
        long received;
        var pipeline = new ResiliencePipelineBuilder { TimeProvider = _time }.AddRetry(new RetryStrategyOptions
        {
            ShouldHandle = arguments => ValueTask.FromResult(arguments.Outcome.Exception is PassingFaultException { RetryAfter: var after } && !(after > _options.LongestDelay)),
            MaxRetryAttempts = _options.Retries,
            Delay = _options.FirstDelay,
            MaxDelay = _options.LongestDelay,
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
            DelayGenerator = arguments => ValueTask.FromResult((arguments.Outcome.Exception as PassingFaultException)?.RetryAfter),
            OnRetry = arguments =>
            {
                _notice($"{arguments.Outcome.Exception!.Message}; once more in {arguments.RetryDelay.TotalSeconds:0.#} s.");
                return ValueTask.CompletedTask;
            },
        }).Build();
        while (true)
        {
            received = 0;
            try
            {
                await pipeline.ExecuteAsync(async stop => await ReceiveAsync(file, part, canResume, bytes => received += bytes, progress, stop), cancellationToken);
                return;
            }
            catch (PassingFaultException) when (received > 0)
            {
                // Only attempts that bring nothing are counted.
            }
            catch (PassingFaultException fault)
            {
                string kept = part.SizeBytes > 0 ? $" {part.SizeBytes:N0} bytes are kept in {part.Path}; the same command goes on from there." : "";
                string wait = fault.RetryAfter > _options.LongestDelay ? $" The server asks to wait {fault.RetryAfter}." : "";
                throw new IOException($"{char.ToUpperInvariant(fault.Message[0])}{fault.Message[1..]}.{wait}{kept}".Replace("?.", "?", StringComparison.Ordinal), fault);
            }
        }
    }

    private async Task ReceiveAsync(DatasetFile file, PartialFile part, bool canResume, Action<long> count, Action<DownloadProgress>? progress, CancellationToken cancellationToken)
    {
        var version = part.Version;
        // Without a hash or a validator nothing would show that a part is of another version.
        bool isOurs = version?.Url == file.Url && (canResume || version.Validator is not null);
        long start = isOurs ? part.SizeBytes : 0;
        if (start > 0 && start == file.SizeBytes)
        {
            return;
        }
        using var stall = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            stall.CancelAfter(_options.Stall);
            using var response = await SendAsync(file.Url, start, version?.Validator, stall.Token);
            switch (response.StatusCode)
            {
                case HttpStatusCode.PartialContent when start > 0 && response.Content.Headers.ContentRange?.From == start:
                    break;
                case HttpStatusCode.OK:
                    start = 0;
                    break;
                case HttpStatusCode.PartialContent or HttpStatusCode.RequestedRangeNotSatisfiable:
                    if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable && start > 0 && response.Content.Headers.ContentRange?.Length == start)
                    {
                        return;
                    }
                    part.Remove();
                    throw new PassingFaultException($"{file.Url} gives another part than was asked for");
                default:
                    string fault = DownloadFaults.Of(file.Url, response.StatusCode);
                    throw DownloadFaults.MayPass(response.StatusCode) ? new PassingFaultException(fault, RetryAfter(response)) : new IOException(fault + ".");
            }
            long? total = response.Content.Headers.ContentLength is { } rest ? start + rest : file.SizeBytes > 0 ? file.SizeBytes : null;
            if (start == 0)
            {
                RequireRoom(part.Path, total);
                part.Begin(new PartialVersion(file.Url, Validator(response)));
            }
            using var content = await response.Content.ReadAsStreamAsync(stall.Token);
            long end = await CopyAsync(content, part.Path, start, total, count, progress, stall);
            if (total is { } whole && end < whole)
            {
                throw new PassingFaultException($"the connection to {new Uri(file.Url).Host} ended after {end:N0} of {whole:N0} bytes of {file.Name}");
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new PassingFaultException($"{new Uri(file.Url).Host} gave nothing for {_options.Stall.TotalSeconds:0.#} s");
        }
        catch (HttpRequestException error)
        {
            throw new PassingFaultException(DownloadFaults.Of(file.Url, error), inner: error);
        }
        catch (HttpIOException error)
        {
            throw new PassingFaultException($"the connection to {new Uri(file.Url).Host} broke after {part.SizeBytes:N0} bytes of {file.Name}", inner: error);
        }
    }

    private async Task<HttpResponseMessage> SendAsync(string url, long start, string? validator, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, url);
        if (start > 0)
        {
            request.Headers.Range = new RangeHeaderValue(start, null);
            if (validator is not null)
            {
                request.Headers.TryAddWithoutValidation("If-Range", validator);
            }
        }
        return await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
    }

    private async Task<long> CopyAsync(Stream content, string path, long start, long? total, Action<long> count, Action<DownloadProgress>? progress, CancellationTokenSource stall)
    {
        using var file = OpenPart(path);
        file.Position = start;
        var buffer = new byte[BufferBytes];
        while (true)
        {
            stall.CancelAfter(_options.Stall);
            int read;
            try
            {
                read = await content.ReadAsync(buffer, stall.Token);
            }
            catch (IOException error) when (error is not HttpIOException)
            {
                throw new HttpIOException(HttpRequestError.ResponseEnded, error.Message, error);
            }
            if (read == 0)
            {
                return file.Position;
            }
            WriteOrSay(file, buffer.AsSpan(0, read), path);
            count(read);
            progress?.Invoke(new DownloadProgress(file.Position, total));
        }
    }

    private static FileStream OpenPart(string path)
    {
        try
        {
            // No buffer: what arrived is in the file, also when the process is ended.
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, bufferSize: 0);
        }
        catch (IOException error)
        {
            throw new IOException($"{path} cannot be written: {error.Message.TrimEnd('.')}. Does another download use it?", error);
        }
    }

    private static void WriteOrSay(FileStream file, ReadOnlySpan<byte> bytes, string path)
    {
        try
        {
            file.Write(bytes);
        }
        catch (IOException error)
        {
            throw new IOException($"{path} cannot be written further: {error.Message.TrimEnd('.')}. What has arrived is kept; make room and run the same command again, which goes on from there.", error);
        }
    }

    private static void RequireRoom(string path, long? total)
    {
        long free = new DriveInfo(Path.GetDirectoryName(Path.GetFullPath(path))!).AvailableFreeSpace;
        if (total > free)
        {
            throw new IOException($"{Path.GetDirectoryName(Path.GetFullPath(path))} has {free:N0} bytes free, and the file needs {total:N0}: the disk would be full. Make room, or choose another directory with --output.");
        }
    }

    // A weak ETag does not promise the same bytes.
    private static string? Validator(HttpResponseMessage response) =>
        response.Headers.ETag is { IsWeak: false } tag ? tag.Tag : response.Content.Headers.LastModified is { } date ? date.ToString("r", System.Globalization.CultureInfo.InvariantCulture) : null;

    private TimeSpan? RetryAfter(HttpResponseMessage response) => response.Headers.RetryAfter is not { } after ? null
        : after.Delta ?? (after.Date is { } date && date - _time.GetUtcNow() is var wait && wait > TimeSpan.Zero ? wait : TimeSpan.Zero);
}
