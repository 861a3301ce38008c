using System.IO.Compression;
using System.Numerics.Tensors;
using System.Text.Json;
using System.Text.Json.Serialization;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging.Import;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

/// <summary>A model that others trained, exported and run, against the ids and logits that its author's own program gives.</summary>
public sealed class Stories260KTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    [Fact]
    public async Task Greedy_ids_are_exactly_those_of_llama2c()
    {
        using var model = Load();
        await using var engine = GenerationEngine.Load(model.Package, "fp32", new EngineOptions { Slots = 2, Threads = 1 });
        var stories = Golden();

        // Four requests on two slots: two run side by side, two wait.
        var generated = await Task.WhenAll(stories.Select(story => engine.IdsAsync(Requests.Greedy(story.PromptIds, story.Ids.Length - story.PromptIds.Length) with { IgnoreEos = true })));

        Assert.All(stories.Zip(generated), pair => Assert.Equal(pair.First.Ids[pair.First.PromptIds.Length..], pair.Second));
    }

    [Fact]
    public void Logits_are_within_a_thousandth_of_those_of_llama2c()
    {
        using var model = Load();
        using var runner = model.OpenRunner();
        foreach (var story in Golden())
        {
            var logits = runner.Prefill(0, 0, story.Ids.AsSpan(0, story.MaxLogit.Length), allLogits: true);
            for (int t = 0; t < story.MaxLogit.Length; t++)
            {
                var row = logits.Slice(t * model.Config.VocabSize, model.Config.VocabSize);
                float highest = TensorPrimitives.Max(row);
                Assert.Equal(story.Argmax[t], TensorPrimitives.IndexOfMax(row));
                Assert.InRange(highest - story.MaxLogit[t], -1e-3, 1e-3);
                Assert.InRange(LogSumExp(row, highest) - story.Logsumexp[t], -1e-3, 1e-3);
                for (int id = 0; t < (story.LogitsFirst12?.Length ?? 0) && id < row.Length; id++)
                {
                    Assert.InRange(row[id] - story.LogitsFirst12![t][id], -1e-3, 1e-3);
                }
            }
        }
    }

    public void Dispose() => _directory.Dispose();

    private ExportedModel Load() => new(Llama2cImporter.Import(
        SharedData.File("models/stories260K/stories260K.bin"), SharedData.File("models/stories260K/tok512.bin"), _directory.PathOf("stories260K"), TimeProvider.System));

    private static double LogSumExp(ReadOnlySpan<float> row, double highest)
    {
        double sum = 0;
        foreach (float logit in row)
        {
            sum += Math.Exp(logit - highest);
        }
        return highest + Math.Log(sum);
    }

    private static List<Story> Golden()
    {
        using var file = new GZipStream(File.OpenRead(SharedData.File("golden/stories260K.greedy.json.gz")), CompressionMode.Decompress);
        var stories = JsonSerializer.Deserialize<List<Story>>(file, JsonFile.SnakeCase)!;
        Assert.Equal(4, stories.Count);
        return stories;
    }

    private sealed record Story(int[] PromptIds, int[] Ids, int[] Argmax, float[] MaxLogit, float[] Logsumexp, [property: JsonPropertyName("logits_first_12")] float[][]? LogitsFirst12 = null);
}
