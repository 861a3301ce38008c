using System.Security.Cryptography;
using TrainServe.TestSupport;
using TrainServe.Training.Data.Downloading;

namespace TrainServe.Training.Tests.Data.Downloading;

public sealed class FileDownloaderTests : IDisposable
{
    private const int Size = 300_000;
    private static readonly byte[] Content = MakeContent(1);
    private readonly TemporaryDirectory _directory = new();
    private readonly HttpClient _client = FileDownloader.CreateClient();
    private readonly List<string> _notices = [];

    public void Dispose()
    {
        _client.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public async Task A_file_arrives_whole_and_nothing_else_remains()
    {
        await using var server = new FaultyFileServer(Content);
        var file = await FetchAsync(server, Hash(Content));
        Assert.Equal((Size, Hash(Content), false, false), (file.SizeBytes, file.Sha256, file.WasThere, file.IsTrustedOnFirstUse));
        Assert.Equal(Content, File.ReadAllBytes(file.Path));
        Assert.Equal(["file.bin"], Names());
        Assert.True((await FetchAsync(server, Hash(Content))).WasThere);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task A_connection_that_breaks_is_taken_up_where_it_broke()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { CutAfter = 100_000 }, new Behaviour { CutAfter = 50_000 }, new Behaviour { CutAfter = 0 });
        var file = await FetchAsync(server, Hash(Content));
        Assert.Equal(Content, File.ReadAllBytes(file.Path));
        Assert.Equal([null, 100_000, 150_000, 150_000], server.Requests.Select(request => request.RangeFrom));
        Assert.Equal(3, _notices.Count(notice => notice.Contains("broke", StringComparison.Ordinal) || notice.Contains("ended", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Attempts_that_bring_something_are_not_counted()
    {
        await using var server = new FaultyFileServer(Content, [.. Enumerable.Repeat(new Behaviour { CutAfter = 20_000 }, 12)]);
        var file = await FetchAsync(server, Hash(Content), new DownloadOptions { Retries = 2, FirstDelay = TimeSpan.FromMilliseconds(1) });
        Assert.Equal(Content, File.ReadAllBytes(file.Path));
        Assert.Equal(13, server.Requests.Count);
    }

    [Fact]
    public async Task A_server_that_asks_to_wait_is_waited_for()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { Status = 503, RetryAfter = "1" }, new Behaviour { Status = 429, RetryAfter = "0" });
        long started = TimeProvider.System.GetTimestamp();
        await FetchAsync(server, Hash(Content));
        Assert.True(TimeProvider.System.GetElapsedTime(started) >= TimeSpan.FromSeconds(0.9));
        Assert.Contains("status 503; once more in 1 s", _notices[0]);
        Assert.Contains("fewer requests", _notices[1]);
    }

    [Fact]
    public async Task A_server_that_asks_for_too_long_a_wait_ends_the_download_with_its_wish()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { Status = 503, RetryAfter = "3600" });
        var error = await Assert.ThrowsAnyAsync<IOException>(() => FetchAsync(server, Hash(Content)));
        Assert.Contains("asks to wait 01:00:00", error.Message);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task A_server_that_ignores_ranges_is_read_from_the_beginning()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { CutAfter = 100_000 }, new Behaviour { IgnoresRange = true });
        var file = await FetchAsync(server, Hash(Content));
        Assert.Equal(Content, File.ReadAllBytes(file.Path));
        Assert.Equal([null, 100_000], server.Requests.Select(request => request.RangeFrom));
    }

    [Fact]
    public async Task A_file_that_changed_meanwhile_is_read_from_the_beginning()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { CutAfter = 100_000 }, new Behaviour { Status = 404 });
        await Assert.ThrowsAnyAsync<IOException>(() => FetchAsync(server, ""));
        (server.Content, server.ETag) = (MakeContent(2), "\"v2\"");
        var file = await FetchAsync(server, "");
        Assert.Equal(MakeContent(2), File.ReadAllBytes(file.Path));
        Assert.Equal("\"v1\"", server.Requests.Last().IfRange);
    }

    [Fact]
    public async Task Wrong_bytes_are_removed_and_both_hashes_named()
    {
        byte[] wrong = MakeContent(2);
        await using var server = new FaultyFileServer(Content, new Behaviour { Instead = wrong });
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => FetchAsync(server, Hash(Content)));
        Assert.Contains(Hash(wrong), error.Message);
        Assert.Contains(Hash(Content), error.Message);
        Assert.Empty(Names());
    }

    [Fact]
    public async Task A_part_that_does_not_fit_the_rest_is_thrown_away_once()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { Instead = MakeContent(2), CutAfter = 100_000 }, new Behaviour { Status = 404 });
        await Assert.ThrowsAnyAsync<IOException>(() => FetchAsync(server, Hash(Content)));
        var file = await FetchAsync(server, Hash(Content));
        Assert.Equal(Content, File.ReadAllBytes(file.Path));
        Assert.Contains(_notices, notice => notice.Contains("once more from the beginning", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_part_that_is_already_whole_needs_only_its_hash()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { HidesLength = true, CutAfter = Size });
        File.WriteAllBytes(_directory.PathOf("file.bin.part"), Content);
        File.WriteAllText(_directory.PathOf("file.bin.part.json"), $$"""{"url": "{{server.Url}}", "validator": "\"v1\""}""");
        var file = await FetchAsync(server, Hash(Content));
        Assert.Equal(Content, File.ReadAllBytes(file.Path));
        Assert.Equal([Size], server.Requests.Select(request => request.RangeFrom));
    }

    [Fact]
    public async Task Without_a_hash_the_first_download_is_trusted_and_the_next_must_be_the_same()
    {
        await using var server = new FaultyFileServer(Content);
        var first = await FetchAsync(server, "");
        Assert.True(first.IsTrustedOnFirstUse);
        Assert.Equal($"{Hash(Content)}  file.bin\n", File.ReadAllText(first.Path + ".sha256"));
        Assert.False((await FetchAsync(server, "")).IsTrustedOnFirstUse);
        File.Delete(first.Path);
        server.Content = MakeContent(2);
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => FetchAsync(server, ""));
        Assert.Contains("written at the first download", error.Message);
        Assert.Equal(["file.bin.sha256"], Names());
    }

    [Fact]
    public async Task Without_hash_and_validator_a_part_is_not_used_again()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { CutAfter = 100_000, HidesValidator = true }, new Behaviour { HidesValidator = true });
        var file = await FetchAsync(server, "");
        Assert.Equal(Content, File.ReadAllBytes(file.Path));
        Assert.Equal([null, null], server.Requests.Select(request => request.RangeFrom));
    }

    [Fact]
    public async Task A_damaged_file_that_is_there_is_named_and_left_alone()
    {
        await using var server = new FaultyFileServer(Content);
        _directory.WriteText("file.bin", "something else");
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => FetchAsync(server, Hash(Content)));
        Assert.Contains("remove it to download it again", error.Message);
        Assert.Equal("something else", File.ReadAllText(_directory.PathOf("file.bin")));
        Assert.Empty(server.Requests);
    }

    [Theory]
    [InlineData(404, "does not exist on its server")]
    [InlineData(403, "may not be read without signing in")]
    [InlineData(418, "answers with status 418")]
    public async Task A_refusal_is_not_repeated(int status, string sentence)
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { Status = status });
        Assert.Contains(sentence, (await Assert.ThrowsAnyAsync<IOException>(() => FetchAsync(server, Hash(Content)))).Message);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task A_server_that_falls_silent_is_left_and_asked_again()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { StallAfter = 1000 });
        var file = await FetchAsync(server, Hash(Content), new DownloadOptions { FirstDelay = TimeSpan.FromMilliseconds(1), Stall = TimeSpan.FromSeconds(1) });
        Assert.Equal(Content, File.ReadAllBytes(file.Path));
        Assert.Contains("gave nothing for 1 s", _notices[0]);
    }

    [Fact]
    public async Task Nobody_at_the_address_is_told_as_a_matter_of_the_network()
    {
        string url;
        await using (var server = new FaultyFileServer(Content))
        {
            url = server.Url;
        }
        var error = await Assert.ThrowsAnyAsync<IOException>(() => FetchAsync(url, Hash(Content), new DownloadOptions { Retries = 1, FirstDelay = TimeSpan.FromMilliseconds(1) }));
        Assert.Contains("is there a network connection", error.Message);
        error = await Assert.ThrowsAnyAsync<IOException>(() => FetchAsync("http://no-such-host.invalid/x", "", new DownloadOptions { Retries = 1, FirstDelay = TimeSpan.FromMilliseconds(1) }));
        Assert.Contains("is there a network connection", error.Message);
    }

    [Fact]
    public async Task Interrupting_keeps_what_has_arrived()
    {
        await using var server = new FaultyFileServer(Content, new Behaviour { StallAfter = 200_000 });
        using var stop = new CancellationTokenSource();
        var fetch = Downloader().FetchAsync(Entry(server.Url, Hash(Content)), _directory.FullName, progress =>
        {
            if (progress.Bytes == 200_000)
            {
                stop.Cancel();
            }
        }, stop.Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => fetch);
        Assert.Equal(200_000, new FileInfo(_directory.PathOf("file.bin.part")).Length);
        Assert.Equal(Content, File.ReadAllBytes((await FetchAsync(server, Hash(Content))).Path));
        Assert.Equal(200_000, server.Requests.Last().RangeFrom);
    }

    [Fact]
    public async Task Attempts_end_and_say_what_is_kept()
    {
        await using var server = new FaultyFileServer(Content, [new Behaviour { CutAfter = 100_000 }, .. Enumerable.Repeat(new Behaviour { Status = 500 }, 20)]);
        var error = await Assert.ThrowsAnyAsync<IOException>(() => FetchAsync(server, Hash(Content), new DownloadOptions { Retries = 2, FirstDelay = TimeSpan.FromMilliseconds(1) }));
        Assert.Contains("100,000 bytes are kept in", error.Message);
        Assert.Contains("goes on from there", error.Message);
    }

    [Fact]
    public void The_catalogue_that_is_shipped_can_be_read()
    {
        var catalogue = DatasetCatalogue.Read(RepositoryRoot.PathOf("models/datasets.yaml"));
        Assert.All((string[])["tinystories", "hh-helpful", "hh-harmless", "oasst1", "gsm8k"], name => Assert.NotEmpty(catalogue[name].Files));
        Assert.All(catalogue.Datasets.Values, dataset => Assert.All((string[])[dataset.Description, dataset.Licence, dataset.Homepage, dataset.Format, dataset.Stage], text => Assert.NotEmpty(text)));
        Assert.Contains("there are tinystories", Assert.Throws<ArgumentException>(() => catalogue["penguins"]).Message);
    }

    [Theory]
    [InlineData("x:\n  files: []\n", "x has no files")]
    [InlineData("x:\n  files: [{url: 'ftp://a/b', name: b}]\n", "must be http or https")]
    [InlineData("x:\n  files: [{url: 'https://a/b', name: '../b'}]\n", "the name '../b'")]
    [InlineData("x:\n  files: [{url: 'https://a/b', name: b, sha256: abc}]\n", "64 lower-case hexadecimal digits")]
    [InlineData("x:\n  files: [{url: 'https://a/b', name: b}, {url: 'https://a/c', name: B}]\n", "two files named")]
    [InlineData("x:\n  colour: red\n", ":2:")]
    [InlineData("", "lists no data set")]
    public void A_catalogue_with_a_fault_is_refused_with_its_place(string yaml, string sentence) =>
        Assert.Contains(sentence, Assert.Throws<InvalidDataException>(() => DatasetCatalogue.Read(_directory.WriteText("c.yaml", yaml))).Message);

    private static byte[] MakeContent(byte seed) => [.. Enumerable.Range(0, Size).Select(i => (byte)(i * 31 + i / 251 + seed))];

    private static string Hash(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    private static DatasetFile Entry(string url, string hash) => new() { Url = url, Name = "file.bin", Sha256 = hash };

    private FileDownloader Downloader(DownloadOptions? options = null) =>
        new(_client, options ?? new DownloadOptions { FirstDelay = TimeSpan.FromMilliseconds(1) }, _notices.Add, TimeProvider.System);

    private Task<DownloadedFile> FetchAsync(FaultyFileServer server, string hash, DownloadOptions? options = null) => FetchAsync(server.Url, hash, options);

    private Task<DownloadedFile> FetchAsync(string url, string hash, DownloadOptions? options = null) => Downloader(options).FetchAsync(Entry(url, hash), _directory.FullName);

    private IEnumerable<string?> Names() => Directory.GetFileSystemEntries(_directory.FullName).Select(Path.GetFileName).Order(StringComparer.Ordinal);
}
