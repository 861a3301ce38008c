using System.CommandLine;
using System.Text.Json;
using TrainServe.Cli.Evaluating;
using TrainServe.Core.IO;
using TrainServe.Evaluation;
using TrainServe.Evaluation.Reporting;
using TrainServe.Evaluation.Tasks;
using TrainServe.Model;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve evaluate</c>: what a model can do, in numbers.</summary>
public static class EvaluateCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "A model directory: a language model, or a reward model.", Required = true };
        var tasks = new Option<string[]>("--tasks") { Description = "Files, or names of files below --data without their endings; before one may stand choice:, text:, generate:, preference:, win:, refusal: or small-world:, where its records do not say what it is.", Required = true, AllowMultipleArgumentsPerToken = true };
        var data = new Option<string?>("--data") { Description = "The directory of the tasks' files." };
        var backend = new Option<string>("--backend") { Description = "torch, or the export: onnx.", DefaultValueFactory = _ => "torch" };
        backend.AcceptOnlyFromAmong("torch", "onnx");
        var precision = new Option<string>("--precision") { Description = "Of the export.", DefaultValueFactory = _ => "fp32" };
        var limit = new Option<int>("--limit") { Description = "At most so many questions of a task; 0 is all of them." };
        var match = new Option<AnswerMatch>("--match") { Description = "Of generate: exact, or number for the last number of the answer.", DefaultValueFactory = _ => AnswerMatch.Exact };
        var against = new Option<string?>("--against") { Description = "Of win: the other model, of the same tokenizer." };
        var reward = new Option<string?>("--reward") { Description = "Of win: the reward model that judges, of the same tokenizer." };
        var baseline = new Option<string?>("--baseline") { Description = "Of preference: a file or directory of other pairs, from which a model of words and pairs of words learns; the reward model is compared with it." };
        var seen = new Option<string[]>("--seen") { Description = "Of preference: texts that the model was pretrained on; pairs whose better answer stands in them are counted apart.", AllowMultipleArgumentsPerToken = true };
        var findings = new Option<string?>("--findings") { Description = "Of preference: write what was found on each pair, of all tasks, to this .jsonl file; evaluate pool puts those of several folds together." };
        var skip = new Option<bool>("--skip-bad-records") { Description = "Of preference: count and leave out records that cannot be used, rather than stop." };
        var page = new Option<string?>("--report") { Description = "Write a page with tables and plots (.html)." };
        var maxTokens = new Option<int>("--max-tokens") { Description = "Most tokens of a generated answer.", DefaultValueFactory = _ => 64 };
        var temperature = new Option<float?>("--temperature") { Description = "Of generated answers: 0 takes the most likely token. 0 for generate and 1 for win when not given." };
        var seed = new Option<ulong>("--seed") { Description = "The same seed draws the same answers.", DefaultValueFactory = _ => 1 };
        var json = new Option<string?>("--json") { Description = "Write the results to this file too." };
        var command = new Command("evaluate", "Measures a model on tasks; the results go into its manifest.") { model, tasks, data, backend, precision, limit, match, against, reward, maxTokens, temperature, seed, json, baseline, seen, findings, skip, page };
        command.Subcommands.Add(EvaluatePoolCommand.Create());
        command.SetAction((arguments, stop) =>
        {
            TorchRuntime.Initialize();
            using var session = new EvaluationSession(new EvaluationOptions
            {
                Model = arguments.GetRequiredValue(model),
                Data = arguments.GetValue(data),
                Precision = arguments.GetValue(backend) == "onnx" ? arguments.GetValue(precision) : null,
                Limit = arguments.GetValue(limit),
                Match = arguments.GetValue(match),
                Against = arguments.GetValue(against),
                Reward = arguments.GetValue(reward),
                Baseline = arguments.GetValue(baseline),
                Seen = arguments.GetValue(seen) ?? [],
                Findings = arguments.GetValue(findings),
                SkipBadRecords = arguments.GetValue(skip),
                MaxTokens = arguments.GetValue(maxTokens),
                Temperature = arguments.GetValue(temperature),
                Seed = arguments.GetValue(seed),
            });
            var results = new OrderedDictionary<string, TaskResult>(StringComparer.Ordinal);
            foreach (string task in arguments.GetRequiredValue(tasks))
            {
                var (name, result) = session.Run(task, stop);
                results[name] = result;
                Console.WriteLine(Line(name, result));
            }
            var report = session.Report(results);
            session.AddToManifest(report);
            if (arguments.GetValue(json) is { } path)
            {
                JsonFile.Write(path, report, JsonFile.SnakeCase);
            }
            if (arguments.GetValue(page) is { } html)
            {
                File.WriteAllText(html, EvaluationPage.Html(report));
            }
            return Task.CompletedTask;
        });
        return command;
    }

    internal static string Line(string name, TaskResult result) => $"{name}: {result.Count} {result.Kind}  "
        + string.Join("  ", result.Metrics.Select(metric => $"{metric.Key} {metric.Value:0.####}{(result.Intervals.TryGetValue(metric.Key, out var interval) ? $" [{interval.Low:0.####}, {interval.High:0.####}]" : "")}"))
        + string.Concat((result.Samples ?? []).Select(sample => "\n  " + JsonSerializer.Serialize(sample, JsonFile.SnakeCaseLine)));
}
