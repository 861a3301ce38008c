using System.CommandLine;
using System.CommandLine.Parsing;
using TrainServe.Cli.Benchmarks;
using TrainServe.Core;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Inference;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve bench serve</c>: load on any server with an OpenAI-compatible API.</summary>
public static class BenchServeCommand
{
    public static Command Create()
    {
        var url = new Option<Uri>("--url") { Description = "The server.", DefaultValueFactory = _ => new Uri("http://127.0.0.1:8080"), CustomParser = ParseUrl };
        var model = new Option<string>("--model") { Description = "The model's name there; needed but with --engine." };
        var key = new Option<string?>("--api-key") { Description = "Sent as bearer token." };
        var requests = new Option<int>("--requests") { Description = "How many to send.", DefaultValueFactory = _ => 64 };
        var concurrency = new Option<int>("--concurrency") { Description = "Closed loop: as many at a time.", DefaultValueFactory = _ => 8 };
        var rate = new Option<double?>("--rate") { Description = "Open loop instead: requests a second on average, arriving at random (Poisson), whether earlier ones are answered or not." };
        var words = new Option<int>("--prompt-words") { Description = "Words of a prompt's own part.", DefaultValueFactory = _ => 100 };
        var shared = new Option<int>("--shared-words") { Description = "Words of a system prompt that all requests share.", DefaultValueFactory = _ => 0 };
        var tokens = new Option<int>("--max-tokens") { Description = "Most tokens of an answer.", DefaultValueFactory = _ => 64 };
        var ignoreEos = new Option<bool>("--ignore-eos") { Description = "Answers go on to their most tokens. Servers must know this parameter." };
        var engine = new Option<string?>("--engine") { Description = "A model directory: the same load goes to its engine in this process instead of to a server, so that what HTTP costs can be seen." };
        var precision = PrecisionOption.Create();
        var device = PrecisionOption.CreateDevice();
        var slots = new Option<int>("--slots") { Description = "With --engine: sequences that are computed together.", DefaultValueFactory = _ => 8 };
        var threads = new Option<int>("--threads") { Description = "With --engine: 0 takes all cores." };
        var firstToken = new Option<double>("--objective-ttft") { Description = "Milliseconds to the first token, for goodput.", DefaultValueFactory = _ => 1000 };
        var perToken = new Option<double>("--objective-tpot") { Description = "Milliseconds for each further token, for goodput.", DefaultValueFactory = _ => 100 };
        var seed = new Option<ulong>("--seed") { Description = "Of prompts and arrivals.", DefaultValueFactory = _ => 1 };
        var json = new Option<string?>("--json") { Description = "Writes the figures to a file as well." };
        var command = new Command("serve", "Loads a server with an OpenAI-compatible API and reports throughput and latencies, counted from when a request was due.")
        {
            url, model, key, requests, concurrency, rate, words, shared, tokens, ignoreEos, engine, precision, device, slots, threads, firstToken, perToken, seed, json,
        };
        command.SetAction(async (arguments, cancellationToken) =>
        {
            var plan = new LoadPlan
            {
                Url = arguments.GetRequiredValue(url),
                Model = arguments.GetValue(model) ?? arguments.GetValue(engine) ?? throw new RecipeException("--model names the model on the server; without a server, --engine its directory."),
                Requests = arguments.GetValue(requests),
                Concurrency = arguments.GetValue(concurrency),
                RequestsPerSecond = arguments.GetValue(rate),
                PromptWords = arguments.GetValue(words),
                SharedWords = arguments.GetValue(shared),
                MaxTokens = arguments.GetValue(tokens),
                IgnoreEos = arguments.GetValue(ignoreEos),
                FirstTokenObjective = TimeSpan.FromMilliseconds(arguments.GetValue(firstToken)),
                PerTokenObjective = TimeSpan.FromMilliseconds(arguments.GetValue(perToken)),
                Seed = arguments.GetValue(seed),
            }.Validated();
            LoadReport report;
            if (arguments.GetValue(engine) is { } directory)
            {
                var options = new EngineOptions { Slots = arguments.GetValue(slots), Threads = arguments.GetValue(threads) };
                await using var target = new EngineLoadTarget(plan, ModelPackage.OpenVerified(directory), arguments.GetRequiredValue(precision), arguments.GetRequiredValue(device), options);
                report = await RunAsync(plan, target, cancellationToken);
            }
            else
            {
                using var target = new HttpLoadTarget(plan, arguments.GetValue(key));
                report = await RunAsync(plan, target, cancellationToken);
            }
            report.Write(Console.Out);
            if (arguments.GetValue(json) is { } path)
            {
                JsonFile.Write(path, new { Plan = plan, Report = report }, JsonFile.SnakeCase);
            }
        });
        return command;
    }

    // The library converts no addresses by itself.
    private static Uri? ParseUrl(ArgumentResult result)
    {
        if (Uri.TryCreate(result.Tokens[0].Value, UriKind.Absolute, out var url))
        {
            return url;
        }
        result.AddError($"--url is {result.Tokens[0].Value}; it must be an http or https address.");
        return null;
    }

    private static async Task<LoadReport> RunAsync(LoadPlan plan, ILoadTarget target, CancellationToken cancellationToken) =>
        LoadReport.Of(plan, await new LoadGenerator(plan, target).RunAsync(cancellationToken));
}
