using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Inference.Execution;

namespace TrainServe.Publishing.Calibration;

/// <summary>Text to measure a quantized model on, cut into sequences: some to set the scales of its cache, others to see what the rounding costs.</summary>
/// <param name="Source">A file's name, or that the model wrote it itself.</param>
/// <param name="SourceSha256">Of the file.</param>
/// <param name="Calibration">For the scales.</param>
/// <param name="HeldOut">For the cost; shares no token with the former.</param>
internal sealed record CalibrationText(string Source, string? SourceSha256, IReadOnlyList<int[]> Calibration, IReadOnlyList<int[]> HeldOut)
{
    /// <summary>Tokens to predict when the cost is measured.</summary>
    public const int HeldOutTokens = 20_000;

    /// <summary>Tokens of a sequence, where the model takes as many.</summary>
    public const int LongestSequence = 512;

    // A fifth as many set the scales.
    private const int CalibrationTokens = HeldOutTokens / 5, SampledSequence = 256;
    private const ulong SampleSeed = 20260102;

    /// <summary>Documents one after the other, each after the token that begins a text.</summary>
    /// <exception cref="InvalidDataException">The file is unreadable, or too short.</exception>
    public static CalibrationText FromFile(ModelPackage package, string path)
    {
        var tokenizer = package.LoadTokenizer();
        var ids = new List<int>();
        foreach (var document in DocumentReader.Read(path, BadRecords.Strict()))
        {
            if (package.Config.BosTokenId is { } bos)
            {
                ids.Add(bos);
            }
            ids.AddRange(tokenizer.Encode(document.Text));
            if (ids.Count > 2 * (HeldOutTokens + CalibrationTokens))
            {
                break;
            }
        }
        int length = Math.Min(LongestSequence, package.Config.MaxPositionEmbeddings);
        int[][] sequences = [.. ids.Chunk(length).Where(sequence => sequence.Length > 1)];
        int calibration = Math.Max(1, (CalibrationTokens + length - 1) / length), heldOut = sequences.Skip(calibration).Sum(sequence => sequence.Length - 1);
        if (heldOut < HeldOutTokens)
        {
            throw new InvalidDataException($"{path} has {ids.Count:N0} tokens; to measure what quantization costs takes {CalibrationTokens:N0} for the scales and {HeldOutTokens:N0} to predict.");
        }
        return new CalibrationText(Path.GetFileName(path), FileHash.OfFile(path), sequences[..calibration], Enough(sequences.Skip(calibration)));
    }

    /// <summary>What the model itself writes at temperature 1: text of its own kind, where the rise of the cross entropy is the divergence of the two distributions.</summary>
    public static CalibrationText FromSamples(ModelPackage package, OnnxModelRunner runner)
    {
        int length = Math.Min(SampledSequence, runner.ContextLength);
        var sequences = new List<int[]>();
        while (sequences.Sum(sequence => sequence.Length - 1) < HeldOutTokens + CalibrationTokens)
        {
            sequences.AddRange(Sample(package, runner, length, firstStream: (ulong)sequences.Count));
        }
        int calibration = Math.Max(1, (CalibrationTokens + length - 1) / length);
        return new CalibrationText("the model's own samples", null, sequences[..calibration], Enough(sequences.Skip(calibration)));
    }

    private static IReadOnlyList<int[]> Enough(IEnumerable<int[]> sequences)
    {
        var taken = new List<int[]>();
        for (int tokens = 0; tokens < HeldOutTokens; tokens += taken[^1].Length - 1)
        {
            taken.Add(sequences.ElementAt(taken.Count));
        }
        return taken;
    }

    private static int[][] Sample(ModelPackage package, OnnxModelRunner runner, int length, ulong firstStream)
    {
        var sampler = new TokenSampler(runner.VocabSize);
        var parameters = new SamplingParameters();
        int[][] texts = [.. Enumerable.Range(0, runner.Slots).Select(_ => new int[length])];
        int[] newest = new int[runner.Slots], lengths = new int[runner.Slots];
        for (int slot = 0; slot < texts.Length; slot++)
        {
            newest[slot] = texts[slot][0] = package.Config.BosTokenId ?? new PhiloxRandom(SampleSeed, firstStream + (ulong)slot).NextInt32(runner.VocabSize);
        }
        for (int position = 1; position < length; position++)
        {
            Array.Fill(lengths, position - 1);
            var logits = runner.Decode(newest, lengths);
            for (int slot = 0; slot < texts.Length; slot++)
            {
                ulong seed = SampleSeed + firstStream + (ulong)slot;
                newest[slot] = texts[slot][position] = sampler.Sample(logits.Slice(slot * runner.VocabSize, runner.VocabSize), parameters, null, seed, position).Id;
            }
        }
        return texts;
    }
}
