using System.CommandLine;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data.Downloading;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve data download</c>: public data sets, from the catalogue.</summary>
public static class DataDownloadCommand
{
    private static readonly TimeSpan ReportEvery = TimeSpan.FromSeconds(2);

    public static Command Create()
    {
        var name = new Argument<string?>("NAME") { Description = "A data set of the catalogue; none lists what there is.", Arity = ArgumentArity.ZeroOrOne };
        var output = new Option<string?>("--output") { Description = "The directory for its files; data/NAME by default." };
        var catalogue = new Option<string?>("--catalogue") { Description = "Another list of data sets than models/datasets.yaml." };
        var retries = new Option<int>("--retries") { Description = "How often an attempt that brings nothing is repeated.", DefaultValueFactory = _ => new DownloadOptions().Retries };
        retries.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1)
            {
                result.AddError("--retries must be at least 1.");
            }
        });
        var command = new Command("download", "Fetches a public data set. What has arrived is kept; the same command goes on from there.") { name, output, catalogue, retries };
        command.SetAction(async arguments =>
        {
            var list = DatasetCatalogue.Read(arguments.GetValue(catalogue) ?? DatasetCatalogue.Find());
            if (arguments.GetValue(name) is not { } wanted)
            {
                foreach (var (key, dataset) in list.Datasets)
                {
                    Console.WriteLine($"{key}: {dataset.Description} For {dataset.Stage}; {dataset.Licence}.");
                }
                return ExitCodes.Done;
            }
            return await DownloadAsync(wanted, list[wanted], arguments.GetValue(output) ?? Path.Combine("data", wanted), new DownloadOptions { Retries = arguments.GetValue(retries) });
        });
        return command;
    }

    private static async Task<int> DownloadAsync(string name, Dataset dataset, string directory, DownloadOptions options)
    {
        Console.WriteLine($"{name}: {dataset.Description} Licence: {dataset.Licence}. {dataset.Homepage}");
        using var signal = new InterruptSignal();
        using var client = FileDownloader.CreateClient();
        var downloader = new FileDownloader(client, options, notice => Console.Error.WriteLine(notice), TimeProvider.System);
        try
        {
            foreach (var file in dataset.Files)
            {
                var found = await downloader.FetchAsync(file, directory, Reporter(file.Name), signal.Requested);
                Console.WriteLine($"{found.Path}: {found.SizeBytes:N0} bytes, SHA-256 {found.Sha256}{(found.WasThere ? ", was there already" : "")}{(found.IsTrustedOnFirstUse ? "" : ", as expected")}");
                if (found.IsTrustedOnFirstUse)
                {
                    Console.WriteLine($"  The catalogue knows no hash of this file. It is trusted as it came, and its hash is kept in {found.Path}.sha256: another download must have the same.");
                }
            }
        }
        catch (OperationCanceledException) when (signal.Requested.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync($"Interrupted. What has arrived is kept in {directory}; the same command goes on from there.");
            return ExitCodes.Interrupted;
        }
        Console.WriteLine($"done: {directory} holds {dataset.Format}, for {dataset.Stage}");
        return ExitCodes.Done;
    }

    private static Action<DownloadProgress> Reporter(string name)
    {
        long started = TimeProvider.System.GetTimestamp(), reported = started, first = -1;
        return progress =>
        {
            first = first < 0 ? progress.Bytes : first;
            if (TimeProvider.System.GetElapsedTime(reported) < ReportEvery)
            {
                return;
            }
            reported = TimeProvider.System.GetTimestamp();
            double rate = (progress.Bytes - first) / TimeProvider.System.GetElapsedTime(started).TotalSeconds;
            string of = progress.TotalBytes is { } total ? $" of {total / 1e6:N1}" : "", left = progress.TotalBytes is { } all && rate > 0 ? $", {TimeSpan.FromSeconds((all - progress.Bytes) / rate):hh\\:mm\\:ss} left" : "";
            Console.Error.WriteLine($"{name}: {progress.Bytes / 1e6:N1}{of} MB, {rate / 1e6:N1} MB/s{left}");
        };
    }
}
