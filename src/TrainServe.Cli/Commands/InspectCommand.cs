using System.CommandLine;
using System.Globalization;
using TrainServe.Core.Packaging;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve inspect DIR</c>: what a model directory holds, where it comes from, and what is proven of it.</summary>
public static class InspectCommand
{
    public static Command Create()
    {
        var directory = new Argument<string>("directory") { Description = "A model directory." };
        var command = new Command("inspect", "Shows and verifies a model directory: shape, lineage, files, certificates.") { directory };
        command.SetAction(arguments => Show(ModelPackage.Open(arguments.GetRequiredValue(directory))));
        return command;
    }

    private static void Show(ModelPackage package)
    {
        var config = package.Config;
        Console.WriteLine(package.Directory);
        Line("architecture", config.Architectures[0]);
        Line("parameters", config.ParameterCount.ToString("N0", CultureInfo.InvariantCulture));
        Line("shape", $"{config.NumHiddenLayers} layers of width {config.HiddenSize}, {config.NumAttentionHeads} query and {config.NumKeyValueHeads} key-value heads of {config.HeadDim}, inner width {config.IntermediateSize}");
        Line("vocabulary", $"{config.VocabSize:N0} tokens, head {(config.TieWordEmbeddings ? "tied to the embedding" : "of its own")}");
        Line("context", $"{config.MaxPositionEmbeddings:N0} tokens");
        var tokenizer = package.LoadTokenizer();
        Line("chat template", package.LoadChatTemplate(tokenizer).Name);
        if (package.Manifest is not { } manifest)
        {
            Line("manifest", "none: this directory will not be served");
            return;
        }
        Line("made", manifest.Created.ToString("u", CultureInfo.InvariantCulture));
        ShowLineage(manifest.Lineage);
        foreach (var certificate in manifest.Certificates)
        {
            ShowCertificate(certificate);
        }
        package.Verify();
        Line("files", $"{manifest.Files.Count} files, {manifest.Files.Sum(file => file.SizeBytes):N0} bytes, every hash holds");
        foreach (string precision in package.Precisions)
        {
            package.RequireCertificate(precision);
        }
    }

    private static void ShowLineage(Lineage lineage)
    {
        Line("stage", lineage.Stage);
        if (lineage.RoundedFrom is { } rounded)
        {
            Line("rounded from", $"{rounded.Name} ({Short(rounded.Sha256)}), to bfloat16");
        }
        if (lineage.Parent is { } parent)
        {
            Line("parent", $"{parent.Name} ({Short(parent.Sha256)})");
        }
        if (lineage.RecipeName is { } recipe)
        {
            Line("recipe", $"{recipe} ({Short(lineage.RecipeSha256 ?? "")}), seed {lineage.Seed}, {lineage.Steps:N0} steps, {lineage.Tokens:N0} tokens");
        }
        foreach (var source in lineage.Data)
        {
            Line("data", $"{source.Name} ({Short(source.Sha256)})" + (source.Tokens is { } tokens ? $", {tokens:N0} tokens" : ""));
        }
        foreach (var (name, value) in lineage.Results)
        {
            Line(name, value.ToString("G6", CultureInfo.InvariantCulture));
        }
        Line("code", lineage.CodeVersion);
    }

    private static void ShowCertificate(ParityCertificate c)
    {
        Line($"certificate {c.Precision}", c.Failure() is { } failure ? $"DOES NOT HOLD: {failure}" : $"holds, {c.Runtimes}, {c.Measured:u}");
        if (c.Cost is { } cost)
        {
            Line("", $"{cost.PerplexityChange()}, at most {cost.MaxIncrease:+0%} allowed, on {cost.Tokens:N0} tokens of {cost.Source}");
            Line("", $"greedy choice as in single precision at {cost.GreedyAgreement:P2} of them, divergence {cost.Divergence:G3} nats a token, a logit moved by at most {c.TeacherForcedError:G3}");
            Line("", $"the same logits however it is run, within: chunked {c.ChunkedError:G3}, token by token {c.TokenByTokenError:G3}, batched {c.BatchedError:G3}");
        }
        else
        {
            Line("", $"largest logit error on {c.Positions:N0} positions: teacher-forced {c.TeacherForcedError:G3}, chunked {c.ChunkedError:G3}, token by token {c.TokenByTokenError:G3}, batched {c.BatchedError:G3}; at most {c.Tolerance:G3} allowed");
        }
        Line("", c.IsOrderOfScores ? $"{c.GreedyEqual} of {c.GreedyPrompts} texts in the same order of scores, {c.GreedyNearTies} out of it at a near tie"
            : $"greedy: {c.GreedyEqual} of {c.GreedyPrompts} prompts equal over {c.GreedyTokens} tokens, {c.GreedyNearTies} differ first at a near tie");
    }

    private static string Short(string hash) => hash.Length > 12 ? hash[..12] : hash;

    private static void Line(string key, string value) => Console.WriteLine($"  {key,-18} {value}");
}
