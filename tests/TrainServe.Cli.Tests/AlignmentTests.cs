using System.Text.Json;
using TrainServe.Core;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class AlignmentTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public AlignmentTests()
    {
        var config = TinyModels.Config(TinyPackages.VocabSize);
        TinyPackages.Write(_directory.PathOf("policy"), config);
        TinyPackages.Write(_directory.PathOf("other"), config, seed: 2);
        TinyPackages.Write(_directory.PathOf("reward"), config with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 }, seed: 3);
        File.WriteAllLines(_directory.PathOf("pairs.jsonl"), Enumerable.Range(0, 20).Select(i => $$"""{"prompt":"Q{{i}}","chosen":"yes","rejected":"no"}"""));
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_win_rate_goes_to_the_screen_the_file_and_the_manifest()
    {
        var result = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("policy"), "--against", _directory.PathOf("other"), "--reward", _directory.PathOf("reward"),
            "--tasks", "win:pairs", "--data", _directory.FullName, "--max-tokens", "4", "--json", _directory.PathOf("result.json"));
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("win:pairs: 20 win  win_rate 0.", result.Output, StringComparison.Ordinal);
        Assert.Contains("divergence_per_token ", result.Output, StringComparison.Ordinal);
        using var report = JsonDocument.Parse(await File.ReadAllTextAsync(_directory.PathOf("result.json")));
        using var manifest = JsonDocument.Parse(await File.ReadAllTextAsync(_directory.PathOf("policy", "manifest.json")));
        Assert.Equal(
            report.RootElement.GetProperty("tasks").GetProperty("win:pairs").GetProperty("metrics").GetProperty("win_rate").GetDouble(),
            manifest.RootElement.GetProperty("evaluations").GetProperty("win:pairs").GetProperty("metrics").GetProperty("win_rate").GetDouble());
    }

    [Fact]
    public async Task A_reward_model_is_measured_on_pairs_and_a_language_model_refused()
    {
        var result = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("reward"), "--tasks", _directory.PathOf("pairs.jsonl"));
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("pairs: 20 preference  accuracy ", result.Output, StringComparison.Ordinal);
        var refused = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("policy"), "--tasks", "preference:" + _directory.PathOf("pairs.jsonl"));
        Assert.Equal(2, refused.ExitCode);
        Assert.Contains("is no reward model: it has no score", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_judge_or_an_opponent_of_another_tokenizer_is_refused()
    {
        foreach (string name in new[] { "reward", "other" })
        {
            string tokenizer = _directory.PathOf(name, "tokenizer.json"), before = await File.ReadAllTextAsync(tokenizer), manifest = _directory.PathOf(name, "manifest.json");
            await File.WriteAllTextAsync(tokenizer, before + " ");
            File.Delete(manifest);
            var result = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("policy"), "--against", _directory.PathOf("other"), "--reward", _directory.PathOf("reward"),
                "--tasks", "win:pairs", "--data", _directory.FullName, "--max-tokens", "4");
            Assert.NotEqual(0, result.ExitCode);
            Assert.Contains($"{_directory.PathOf(name)} has another tokenizer than", result.Error, StringComparison.Ordinal);
            await File.WriteAllTextAsync(tokenizer, before);
        }
    }

    [Fact]
    public async Task The_best_of_several_answers_is_written_for_each_prompt()
    {
        string output = _directory.PathOf("best.jsonl");
        var result = await ConsoleHost.RunAsync("best-of", "--model", _directory.PathOf("policy"), "--reward", _directory.PathOf("reward"), "--data", _directory.PathOf("pairs.jsonl"),
            "--n", "3", "--max-tokens", "4", "--limit", "5", "--output", output);
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.All(File.ReadLines(output), line =>
        {
            using var record = JsonDocument.Parse(line);
            Assert.True(record.RootElement.GetProperty("score").GetDouble() >= record.RootElement.GetProperty("mean_score").GetDouble());
        });
        Assert.Equal(5, File.ReadLines(output).Count());
    }

    [Fact]
    public async Task A_reward_model_can_learn_from_what_people_wrote_against_what_a_model_makes_of_it()
    {
        string model = RepositoryRoot.PathOf("models/trainserve-mini"), pairs = _directory.PathOf("made.jsonl"), again = _directory.PathOf("again.jsonl");
        string text = _directory.WriteText("stories.txt", string.Concat(Enumerable.Range(0, 12).Select(i => $"Mia was in the kitchen with {i} apples. Then Tom went to the garden. Mia gave the ball to Tom. Tom was happy.\n<|endoftext|>\n")));
        foreach (string output in new[] { pairs, again })
        {
            var result = await ConsoleHost.RunAsync("data", "generate", "pairs", "--model", model, "--input", text, "--opening-words", "5", "--max-tokens", "40", "--seed", "3", "--output", output);
            Assert.True(result.ExitCode == 0, result.Error);
            Assert.Contains($"{File.ReadLines(output).Count()} pairs; {12 - File.ReadLines(output).Count()} documents gave none", result.Output, StringComparison.Ordinal);
        }

        Assert.Equal(File.ReadAllBytes(pairs), File.ReadAllBytes(again));
        var records = File.ReadLines(pairs).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.NotEmpty(records);
        Assert.All(records, record => Assert.StartsWith("Then Tom went to the garden.", record.GetProperty("chosen").GetString(), StringComparison.Ordinal));
        Assert.All(records, record => Assert.Matches(@"[.!?][""']?$", record.GetProperty("rejected").GetString()));
        string recipe = _directory.WriteText("reward.yaml", "data: { sequence_length: 128, validation_fraction: 0 }\ntraining: { epochs: 1, batch_rows: 4 }\noptimizer: { learning_rate: 1.0e-4 }\n");
        var trained = await ConsoleHost.RunAsync("reward", "--recipe", recipe, "--model", model, "--data", pairs, "--output", _directory.PathOf("learned"), "--dry-run");
        Assert.True(trained.ExitCode == 0, trained.Error);
    }

    [Fact]
    public async Task Text_that_begins_with_a_held_out_prompt_is_left_out()
    {
        string text = _directory.WriteText("text.txt", string.Concat(Enumerable.Range(0, 20).Select(i => $"Q{i} and more.\n<|endoftext|>\n"))), output = _directory.PathOf("clean.txt");
        var result = await ConsoleHost.RunAsync("data", "exclude", "--input", text, "--pairs", _directory.PathOf("pairs.jsonl"), "--validation-fraction", "0.4", "--output", output);
        Assert.True(result.ExitCode == 0, result.Error);
        int kept = File.ReadLines(output).Count(line => line.StartsWith('Q'));
        Assert.InRange(kept, 1, 19);
        Assert.Contains($"{kept} documents are kept, {20 - kept} begin with one of ", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_reward_model_is_compared_with_a_model_of_words_fold_by_fold_and_shown_on_a_page()
    {
        string folds = _directory.PathOf("folds"), page = _directory.PathOf("page.html");
        var divided = await ConsoleHost.RunAsync("data", "folds", "--input", _directory.PathOf("pairs.jsonl"), "--count", "4", "--output", folds);
        Assert.True(divided.ExitCode == 0, divided.Error);
        Assert.Contains("20 pairs of 20 prompts in 4 folds", divided.Output, StringComparison.Ordinal);
        // Each pair is asked once, and never learned from in the same fold.
        string[][] asked = [.. Enumerable.Range(1, 4).Select(fold => File.ReadAllLines(Path.Combine(folds, $"fold-{fold}", "test.jsonl")))];
        Assert.Equal(20, asked.SelectMany(lines => lines).Distinct(StringComparer.Ordinal).Count());
        var findings = new List<string>();
        for (int fold = 1; fold <= 4; fold++)
        {
            string[] learned = await File.ReadAllLinesAsync(Path.Combine(folds, $"fold-{fold}", "train.jsonl"));
            Assert.Equal(15, learned.Length);
            Assert.Empty(learned.Intersect(asked[fold - 1], StringComparer.Ordinal));
            findings.Add(_directory.PathOf($"findings-{fold}.jsonl"));
            var result = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("reward"), "--tasks", Path.Combine(folds, $"fold-{fold}", "test.jsonl"),
                "--baseline", Path.Combine(folds, $"fold-{fold}", "train.jsonl"), "--findings", findings[^1], "--report", page);
            Assert.True(result.ExitCode == 0, result.Error);
            // "yes" is always better than "no".
            Assert.Contains("baseline 1 ", result.Output, StringComparison.Ordinal);
        }
        Assert.Contains("<svg", await File.ReadAllTextAsync(page), StringComparison.Ordinal);
        var pooled = await ConsoleHost.RunAsync(["evaluate", "pool", .. findings]);
        Assert.True(pooled.ExitCode == 0, pooled.Error);
        Assert.Contains("pooled: 20 preference  accuracy ", pooled.Output, StringComparison.Ordinal);
        Assert.Contains("above_baseline ", pooled.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pairs_of_several_files_share_their_folds_and_each_file_has_findings_of_its_own()
    {
        // The second file asks half of what the first does, in other conversations; one record of it is bad.
        Directory.CreateDirectory(_directory.PathOf("further"));
        File.WriteAllLines(_directory.PathOf("further", "more.jsonl"), [.. Enumerable.Range(10, 20).Select(i => $$"""{"prompt":"Q{{i}}","chosen":"yes, surely","rejected":"no"}"""), """{"prompt":"Q","chosen":"same","rejected":"same"}"""]);
        string folds = _directory.PathOf("folds");
        string[] divide = ["data", "folds", "--input", _directory.PathOf("pairs.jsonl"), _directory.PathOf("further"), "--count", "3", "--output", folds];
        var refused = await ConsoleHost.RunAsync(divide);
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("more.jsonl:21: chosen and rejected are the same", refused.Error, StringComparison.Ordinal);
        var divided = await ConsoleHost.RunAsync([.. divide, "--skip-bad-records"]);
        Assert.True(divided.ExitCode == 0, divided.Error);
        Assert.Contains("40 pairs of 30 prompts in 3 folds; 40 records, 1 left out, the first because", divided.Output, StringComparison.Ordinal);
        string test = Path.Combine(folds, "fold-1", "test"), train = Path.Combine(folds, "fold-1", "train"), findings = _directory.PathOf("findings.jsonl");
        Assert.Empty(Prompts(test).Intersect(Prompts(train), StringComparer.Ordinal));
        Assert.Equal(30, Prompts(test).Union(Prompts(train), StringComparer.Ordinal).Count());
        var result = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("reward"), "--data", test, "--tasks", "pairs", "more", "--baseline", train, "--findings", findings);
        Assert.True(result.ExitCode == 0, result.Error);
        var pooled = await ConsoleHost.RunAsync("evaluate", "pool", findings);
        int pairs = File.ReadLines(Path.Combine(test, "pairs.jsonl")).Count(), more = File.ReadLines(Path.Combine(test, "more.jsonl")).Count();
        Assert.Contains($"pairs: {pairs} preference", pooled.Output, StringComparison.Ordinal);
        Assert.Contains($"more: {more} preference", pooled.Output, StringComparison.Ordinal);
        Assert.Contains($"pooled: {pairs + more} preference", pooled.Output, StringComparison.Ordinal);

        static string[] Prompts(string directory) => [.. Directory.GetFiles(directory).SelectMany(File.ReadLines).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("prompt")[0].GetProperty("content").GetString()!)];
    }

    [Fact]
    public async Task Bad_pairs_stop_an_evaluation_with_file_and_line_or_are_counted()
    {
        File.AppendAllLines(_directory.PathOf("pairs.jsonl"), ["""{"prompt":"P","chosen":"alone"}"""]);
        string[] asked = ["evaluate", "--model", _directory.PathOf("reward"), "--tasks", _directory.PathOf("pairs.jsonl")];
        var stopped = await ConsoleHost.RunAsync(asked);
        Assert.Equal(1, stopped.ExitCode);
        Assert.Contains("pairs.jsonl:21: the field 'rejected' is missing", stopped.Error, StringComparison.Ordinal);
        var counted = await ConsoleHost.RunAsync([.. asked, "--skip-bad-records"]);
        Assert.True(counted.ExitCode == 0, counted.Error);
        Assert.Contains("pairs: 20 preference", counted.Output, StringComparison.Ordinal);
        Assert.Contains("bad_records 1", counted.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sums_are_divided_so_that_no_two_numbers_are_on_both_sides()
    {
        var result = await ConsoleHost.RunAsync("data", "generate", "sums", "--largest", "9", "--test-fraction", "0.2", "--output", _directory.PathOf("sums"));
        Assert.True(result.ExitCode == 0, result.Error);
        // 55 pairs of numbers, 11 of them to be asked; 100 sums in all.
        var (train, test) = (Sums("train.jsonl"), Sums("test.jsonl"));
        Assert.Equal(100, train.Concat(test).Distinct().Count());
        Assert.Equal(11, test.Select(sum => (Math.Min(sum.First, sum.Second), Math.Max(sum.First, sum.Second))).Distinct().Count());
        Assert.All(train.Concat(test), sum => Assert.Equal(sum.First + sum.Second, sum.Answer));
        Assert.DoesNotContain(train, sum => test.Contains((sum.Second, sum.First, sum.Answer)));
        var refused = await ConsoleHost.RunAsync("data", "generate", "sums", "--test-fraction", "1", "--output", _directory.PathOf("other"));
        Assert.Equal(2, refused.ExitCode);
        Assert.Contains("--test-fraction must be above 0 and below 1", refused.Error, StringComparison.Ordinal);

        (int First, int Second, int Answer)[] Sums(string file) => [.. File.ReadLines(_directory.PathOf("sums", file)).Select(line =>
        {
            using var record = JsonDocument.Parse(line);
            int[] numbers = [.. record.RootElement.GetProperty("question").GetString()!.TrimEnd('=').Split('+').Select(int.Parse)];
            return (numbers[0], numbers[1], int.Parse(record.RootElement.GetProperty("answer").GetString()!));
        })];
    }

    [Fact]
    public async Task The_model_of_words_must_not_learn_from_what_is_asked()
    {
        string pairs = _directory.PathOf("pairs.jsonl");
        var result = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("reward"), "--tasks", pairs, "--baseline", pairs);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains("20 of the 20 pairs", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Refusals_are_counted()
    {
        string path = _directory.WriteText("requests.jsonl", "{\"prompt\": \"bad\", \"harmful\": true}\n{\"prompt\": \"good\", \"harmful\": false}\n");
        var result = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("policy"), "--tasks", "refusal:" + path, "--max-tokens", "4");
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("refusal:requests: 2 refusal  refusal 0 [0, ", result.Output, StringComparison.Ordinal);
    }
}
