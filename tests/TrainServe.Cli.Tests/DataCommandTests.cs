using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class DataCommandTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Texts_are_cleaned_with_a_report_for_people_and_programs()
    {
        string good = string.Concat(Enumerable.Range(0, 20).Select(i => string.Create(CultureInfo.InvariantCulture, $"The child of house {i} went with a friend to find number {i * 7}. ")));
        _directory.WriteText("in.txt", string.Join("\n<|endoftext|>\n", good, "Too short.", good, good + "And home."));
        var result = await ConsoleHost.RunAsync("data", "clean", "--input", _directory.PathOf("in.txt"), "--output", _directory.PathOf("out.jsonl.gz"), "--report", _directory.PathOf("report.json"), "--rules", "gopher", "c4");
        Assert.True(result.ExitCode == 0, result.Error);
        foreach (string part in (string[])["kept 1 of 4 texts", "exact-duplicate: 1 texts", "near-duplicate: 1 texts", "words: 1 texts", "Too short."])
        {
            Assert.Contains(part, result.Output);
            Assert.Contains(part, File.ReadAllText(_directory.PathOf("report.txt")));
        }
        using var report = JsonDocument.Parse(File.ReadAllBytes(_directory.PathOf("report.json")));
        Assert.Equal(0.8, report.RootElement.GetProperty("jaccard_threshold").GetDouble());
        var again = await ConsoleHost.RunAsync("data", "clean", "--input", _directory.PathOf("in.txt"), "--output", _directory.PathOf("out.jsonl.gz"));
        Assert.Equal((1, true), (again.ExitCode, again.Error.Contains("exists already", StringComparison.Ordinal)));
        Assert.Equal(2, (await ConsoleHost.RunAsync("data", "clean", "--input", _directory.PathOf("in.txt"), "--output", _directory.PathOf("b.jsonl"), "--rules", "penguin")).ExitCode);
    }

    [Fact]
    public async Task A_data_set_is_downloaded_and_its_licence_shown()
    {
        byte[] content = Encoding.UTF8.GetBytes("{\"text\": \"a story\"}\n");
        using var listener = Listen(out string prefix);
        var serving = ServeAsync(listener, content);
        string catalogue = _directory.WriteText("catalogue.yaml", $"""
            tales:
              description: Tales.
              licence: CC0-1.0
              homepage: {prefix}
              format: JSON lines
              stage: pretrain
              files:
                - url: {prefix}tales.jsonl
                  name: tales.jsonl
                  sha256: {Convert.ToHexStringLower(SHA256.HashData(content))}
                - url: {prefix}more.jsonl
                  name: more.jsonl
            """);
        var result = await ConsoleHost.RunAsync("data", "download", "tales", "--catalogue", catalogue, "--output", _directory.PathOf("tales"));
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("Licence: CC0-1.0", result.Output);
        Assert.Contains("as expected", result.Output);
        Assert.Contains("trusted as it came", result.Output);
        Assert.Equal(content, File.ReadAllBytes(_directory.PathOf("tales", "tales.jsonl")));
        Assert.True(File.Exists(_directory.PathOf("tales", "more.jsonl.sha256")));
        var list = await ConsoleHost.RunAsync("data", "download", "--catalogue", catalogue);
        Assert.Contains("tales: Tales. For pretrain; CC0-1.0.", list.Output);
        var unknown = await ConsoleHost.RunAsync("data", "download", "penguins", "--catalogue", catalogue);
        Assert.Equal(2, unknown.ExitCode);
        Assert.Contains("there are tales", unknown.Error);
        listener.Stop();
        await serving;
    }

    [Fact]
    public async Task A_full_disk_is_told_before_anything_arrives_and_keeps_what_arrived_after()
    {
        using var disk = SmallDisk.Mount(_directory.PathOf("disk"), 1);
        byte[] content = new byte[3 << 20];
        using var listener = Listen(out string prefix);
        var serving = ServeAsync(listener, content);
        string catalogue = _directory.WriteText("catalogue.yaml", $"zeros:\n  description: Zeros.\n  files:\n    - url: {prefix}zeros\n      name: zeros.txt\n");
        var told = await ConsoleHost.RunAsync("data", "download", "zeros", "--catalogue", catalogue, "--output", disk.Directory);
        Assert.Equal(1, told.ExitCode);
        Assert.Contains("the disk would be full", told.Error);
        catalogue = _directory.WriteText("catalogue.yaml", $"zeros:\n  description: Zeros.\n  files:\n    - url: {prefix}chunked\n      name: zeros.txt\n");
        var found = await ConsoleHost.RunAsync("data", "download", "zeros", "--catalogue", catalogue, "--output", disk.Directory);
        Assert.Equal(1, found.ExitCode);
        Assert.Contains("make room and run the same command again", found.Error);
        Assert.True(new FileInfo(Path.Combine(disk.Directory, "zeros.txt.part")).Length > 500_000);
        listener.Stop();
        await serving;
    }

    private static HttpListener Listen(out string prefix)
    {
        prefix = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{FreePort.Find()}/");
        var listener = new HttpListener();
        listener.Prefixes.Add(prefix);
        listener.Start();
        return listener;
    }

    private static async Task ServeAsync(HttpListener listener, byte[] content)
    {
        while (true)
        {
            try
            {
                var context = await listener.GetContextAsync();
                context.Response.SendChunked = context.Request.Url!.AbsolutePath == "/chunked";
                if (!context.Response.SendChunked)
                {
                    context.Response.ContentLength64 = content.Length;
                }
                await context.Response.OutputStream.WriteAsync(content);
                context.Response.Close();
            }
            catch (Exception error) when (error is HttpListenerException or ObjectDisposedException or IOException)
            {
                if (!listener.IsListening)
                {
                    return;
                }
            }
        }
    }
}
