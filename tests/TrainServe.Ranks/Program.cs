using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Model;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;
using Transformer = TrainServe.Model.Transformer;

// One process of a job that tests start with mpirun: Ranks sums|train LIBRARY DIRECTORY. What LIBRARY stands for NCCL and CUDA's driver adds, though tensors lie in the processor's memory;
// without it, as -, MPI adds. What came out is written to DIRECTORY/rank-N.json.
var mpi = MpiProcessGroup.Join();
TorchRuntime.Initialize(1);
string directory = args[2];
try
{
    var (group, note) = args[1] == "-" ? (mpi, null) : NcclProcessGroup.Over(mpi, CPU, mpi.RankHere, new GpuLibraries([args[1]], args[1]));
    object found = args[0] == "sums" ? Sums(group) : Train(group);
    group.Leave();
    Write(new { note, found });
    return 0;
}
catch (ExternalException error)
{
    Write(new { error = error.Message });
    return 1;
}

void Write(object report) => File.WriteAllText(Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"rank-{mpi.Rank}.json")), JsonSerializer.Serialize(report));

// Every process has its number plus 1 times the same gradients, in every way that they may lie.
static float[][] Sums(IProcessGroup group)
{
    float mine = group.Rank + 1;
    Parameter[] weights =
    [
        New(arange(200_000, ScalarType.Float32) * mine),
        New(full([3], LiveScalar.Of(0.5 * mine), ScalarType.Float32)),
        New(arange(40, ScalarType.Float32).to(ScalarType.BFloat16) * mine),
        New((arange(30_000, ScalarType.Float32).view(150, 200) * mine).t()),
        New(full([5], LiveScalar.Of(mine), ScalarType.Float16)),
    ];
    var sum = new GradientSum(group, weights);
    for (int time = 0; time < 2; time++)
    {
        // Some are begun early, as in a backward pass. The second time the first sums are added.
        sum.Begin(weights[..2]);
        sum.Begin([weights[2]]);
        sum.Complete();
    }
    return [.. weights.Select(weight => weight.grad!.to(ScalarType.Float32).contiguous().data<float>().ToArray())];

    static Parameter New(Tensor gradient) => new(zeros_like(gradient)) { grad = gradient };
}

// A few steps of a small model, of which every process has its rows.
static float[][] Train(IProcessGroup group)
{
    const int rows = 4, columns = 16, vocabulary = 64;
    using var model = new Transformer(new ModelConfig
    {
        VocabSize = vocabulary, HiddenSize = 128, IntermediateSize = 256, NumHiddenLayers = 3, NumAttentionHeads = 2, NumKeyValueHeads = 2, HeadDim = 64, MaxPositionEmbeddings = columns,
    });
    model.Initialize(seed: 1);
    model.Kernels = TrainingKernels.Choose(TrainingPrecision.Float32, model);
    using var optimizer = new TrainServe.Training.Optimization.AdamW(model.named_parameters().Select(parameter => (parameter.name, parameter.parameter)), new OptimizerSection { LearningRate = 0.1, Epsilon = 1 });
    var step = new TrainingStep(model, optimizer, clipNorm: 1, processes: group);
    for (int number = 0; number < 5; number++)
    {
        var random = new PhiloxRandom(2, (ulong)number);
        int[] tokens = [.. Enumerable.Range(0, rows * columns + 1).Select(_ => random.NextInt32(vocabulary))];
        int mine = rows / group.Size, from = group.Rank * mine * columns, to = from + mine * columns;
        step.Run([new TokenBatch(mine, columns, tokens[from..to], tokens[(from + 1)..(to + 1)], DataCursor.Start(1), "random")], learningRate: 0.1, dropoutSeed: 0);
    }
    return [.. model.parameters().Select(parameter => parameter.detach().contiguous().data<float>().ToArray())];
}
