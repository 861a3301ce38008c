using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using TrainServe.Cli.Generation;
using TrainServe.Core;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Core.Tokenization;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve generate</c>: one continuation, by either runtime.</summary>
public static class GenerateCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "A model directory.", Required = true };
        var prompt = new Option<string?>("--prompt") { Description = "Text to continue; the token that begins a text is put before it." };
        var ids = new Option<string?>("--ids") { Description = "Token ids to continue, separated by commas, as they are." };
        var maxTokens = new Option<int>("--max-tokens") { Description = "Most tokens to generate.", Required = true };
        var temperature = new Option<float>("--temperature") { Description = "0 takes the most likely token.", DefaultValueFactory = _ => 0 };
        var seed = new Option<ulong?>("--seed") { Description = "Makes sampling reproducible." };
        var backend = new Option<string>("--backend") { Description = "torch or onnx.", DefaultValueFactory = _ => "onnx" };
        backend.AcceptOnlyFromAmong("torch", "onnx");
        var json = new Option<bool>("--json") { Description = "Print one JSON object: prompt_ids, output_ids, text, logprobs." };
        var precision = PrecisionOption.Create();
        var device = PrecisionOption.CreateDevice();
        var uncertified = CertifiedModel.WithoutCertificate();
        var command = new Command("generate", "Continues a text.") { model, prompt, ids, maxTokens, temperature, seed, backend, precision, device, uncertified, json };
        command.SetAction(async (arguments, cancellationToken) =>
        {
            bool isTorch = arguments.GetValue(backend) == "torch";
            string directory = arguments.GetRequiredValue(model);
            var (package, export) = isTorch ? (ModelPackage.OpenCheckedIfListed(directory), null) : CertifiedModel.Open(directory, arguments.GetRequiredValue(precision), arguments.GetRequiredValue(device), arguments.GetValue(uncertified));
            var tokenizer = package.LoadTokenizer();
            int[] promptIds = (arguments.GetValue(prompt), arguments.GetValue(ids)) switch
            {
                (string text, null) => [.. package.Config.BosTokenId is { } bos ? new[] { bos } : [], .. tokenizer.Encode(text)],
                (null, string list) => ParseIds(list, package.Config.VocabSize),
                _ => throw new RecipeException("Give one of --prompt and --ids."),
            };
            var request = new ContinuationRequest(promptIds, arguments.GetValue(maxTokens), new SamplingParameters { Temperature = arguments.GetValue(temperature), Seed = arguments.GetValue(seed) });
            var continuation = export is null
                ? TorchContinuation.Run(package, request.Validated(package.Config), cancellationToken)
                : await OnnxContinuation.RunAsync(package, export, request.Validated(package.Config), cancellationToken);
            string answer = Text(tokenizer, continuation.Ids);
            Console.WriteLine(arguments.GetValue(json)
                ? JsonSerializer.Serialize(new { PromptIds = promptIds, OutputIds = continuation.Ids, Text = answer, Logprobs = continuation.LogProbs }, JsonFile.SnakeCaseLine)
                : answer);
        });
        return command;
    }

    // A continuation is no beginning: tokenizers that drop the first space of a text must keep it here.
    private static string Text(TextTokenizer tokenizer, IReadOnlyList<int> ids)
    {
        var detokenizer = new StreamingDetokenizer(tokenizer, atStart: false);
        return string.Concat(ids.Select(detokenizer.Push)) + detokenizer.Flush();
    }

    private static int[] ParseIds(string list, int vocabSize) => [.. list.Split(',', StringSplitOptions.TrimEntries).Select(text =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int id) && id < vocabSize
            ? id
            : throw new RecipeException($"--ids holds '{text}'; token ids are whole numbers from 0 to {vocabSize - 1}."))];
}
