using System.IO.Compression;
using System.Text.Json;
using TorchSharp;
using TrainServe.Core.Packaging;
using TrainServe.Core.Packaging.Import;
using TrainServe.Core.Sampling;
using TrainServe.Model.Generation;
using TrainServe.TestSupport;

namespace TrainServe.Model.Tests.Generation;

/// <summary>A model that others trained, against the ids and logits that its author's own program gives.</summary>
public sealed class Stories260KTests
{
    [Fact]
    public void Greedy_ids_are_exactly_those_of_llama2c()
    {
        using var model = LoadModel();
        var generator = new TextGenerator(model);
        foreach (var story in Golden())
        {
            var generated = generator.Generate(story.PromptIds, story.Ids.Length - story.PromptIds.Length, SamplingParameters.Greedy);
            Assert.Equal(story.Ids[story.PromptIds.Length..], generated.Ids);
        }
    }

    [Fact]
    public void All_prompts_in_one_batch_give_the_same_ids()
    {
        using var model = LoadModel();
        var stories = Golden();
        int shortest = stories.Min(story => story.Ids.Length - story.PromptIds.Length);
        var generated = new TextGenerator(model).GenerateBatch([.. stories.Select(story => story.PromptIds)], shortest, SamplingParameters.Greedy);
        Assert.All(stories.Zip(generated), pair => Assert.Equal(pair.First.Ids.Skip(pair.First.PromptIds.Length).Take(shortest), pair.Second.Ids));
    }

    [Fact]
    public void Logits_are_within_a_thousandth_of_those_of_llama2c()
    {
        using var scope = torch.NewDisposeScope();
        using var noGradient = torch.no_grad();
        using var model = LoadModel();
        foreach (var story in Golden())
        {
            var logitsTV = model.call(RandomModels.Batch(story.Ids[..story.MaxLogit.Length]))[0];
            Assert.Equal(story.Argmax, logitsTV.argmax(1).data<long>().ToArray().Select(id => (int)id));
            AssertClose(story.MaxLogit, logitsTV.amax([1]));
            AssertClose(story.Logsumexp, logitsTV.logsumexp(1));
            for (int t = 0; t < (story.LogitsFirst12?.Length ?? 0); t++)
            {
                AssertClose(story.LogitsFirst12![t], logitsTV[t]);
            }
            if (story.PromptNll.Length > 0)
            {
                var prompt = story.PromptIds;
                var loss = CrossEntropy.PerToken(logitsTV.narrow(0, 0, prompt.Length - 1).unsqueeze(0), RandomModels.Batch(prompt[1..]));
                AssertClose(story.PromptNll, loss[0]);
            }
        }
    }

    private static void AssertClose(float[] expected, torch.Tensor actual)
    {
        var values = actual.contiguous().data<float>().ToArray();
        Assert.Equal(expected.Length, values.Length);
        Assert.InRange(expected.Zip(values, (e, a) => Math.Abs(e - a)).Max(), 0, 1e-3f);
    }

    private static Transformer LoadModel()
    {
        TorchRuntime.Initialize(1);
        var checkpoint = Llama2cCheckpoint.Read(SharedData.File("models/stories260K/stories260K.bin"));
        using var directory = new TemporaryDirectory();
        string path = directory.PathOf(ModelPackage.WeightsFile);
        SafeTensorsWriter.Write(path, checkpoint.Tensors());
        using var weights = SafeTensorsReader.Open(path);
        var model = new Transformer(checkpoint.Config);
        StateDictAdapter.Load(model, weights);
        model.eval();
        return model;
    }

    private static List<Story> Golden()
    {
        using var file = new GZipStream(File.OpenRead(SharedData.File("golden/stories260K.greedy.json.gz")), CompressionMode.Decompress);
        var stories = JsonSerializer.Deserialize<List<Story>>(file, new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower })!;
        Assert.Equal(4, stories.Count);
        return stories;
    }

    private sealed record Story(int[] PromptIds, int[] Ids, int[] Argmax, float[] MaxLogit, float[] Logsumexp, float[] PromptNll)
    {
        [System.Text.Json.Serialization.JsonPropertyName("logits_first_12")]
        public float[][]? LogitsFirst12 { get; init; }
    }
}
