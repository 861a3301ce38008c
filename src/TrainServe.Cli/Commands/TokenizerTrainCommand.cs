using System.CommandLine;
using System.Diagnostics;
using TrainServe.Core.Data;
using TrainServe.Training.Tokenization;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve tokenizer train</c>: learns a vocabulary from text.</summary>
public static class TokenizerTrainCommand
{
    public static Command Create() => new("tokenizer", "Makes tokenizers.") { Train() };

    private static Command Train()
    {
        var input = new Option<string[]>("--input") { Description = "Text: .txt files, .jsonl files with a field \"text\", these packed as .gz, or directories of them.", Required = true, AllowMultipleArgumentsPerToken = true };
        var vocabSize = new Option<int>("--vocab-size") { Description = "Tokens in all, the 256 bytes and the control tokens among them.", Required = true };
        var output = new Option<string>("--output") { Description = "The directory for tokenizer.json and tokenizer_config.json.", Required = true };
        var minFrequency = new Option<int>("--min-frequency") { Description = "Pairs that occur less often are not merged.", DefaultValueFactory = _ => 2 };
        var separation = new Option<DocumentSeparation>("--separation") { Description = "How .txt files are cut into documents.", DefaultValueFactory = _ => DocumentSeparation.Marker };
        var lenient = new Option<bool>("--lenient") { Description = "Leave out bad records of .jsonl files instead of stopping." };
        var threads = new Option<int>("--threads") { Description = "Threads; 0 for one a core. The result does not depend on it." };
        var command = new Command("train", "Learns a byte-level BPE vocabulary and writes it as Hugging Face's library reads it.") { input, vocabSize, output, minFrequency, separation, lenient, threads };
        command.SetAction((arguments, cancellationToken) =>
        {
            string directory = arguments.GetRequiredValue(output);
            if (File.Exists(directory) || File.Exists(Path.Combine(directory, "tokenizer.json")))
            {
                throw new IOException($"{directory} is a file or already holds a tokenizer.json; choose another output directory.");
            }
            var config = new BpeTrainerConfig { VocabSize = arguments.GetValue(vocabSize), MinFrequency = arguments.GetValue(minFrequency), Threads = arguments.GetValue(threads) }.Validated();
            var bad = arguments.GetValue(lenient) ? BadRecords.Lenient() : BadRecords.Strict();
            var documents = DocumentReader.Read(arguments.GetRequiredValue(input), bad, arguments.GetValue(separation));

            var clock = Stopwatch.StartNew();
            BpeVocabulary vocabulary;
            using (var progress = new BpeProgressWriter())
            {
                vocabulary = BpeTrainer.Train(documents, config, progress, cancellationToken);
            }
            vocabulary.Save(directory);
            WriteSummary(vocabulary, config, bad, directory, clock.Elapsed);
            return Task.FromResult(ExitCodes.Done);
        });
        return command;
    }

    private static void WriteSummary(BpeVocabulary vocabulary, BpeTrainerConfig config, BadRecords bad, string directory, TimeSpan time)
    {
        Console.WriteLine($"corpus: {bad}, {vocabulary.CorpusBytes:N0} bytes, {vocabulary.UniqueWords:N0} unique words, {vocabulary.CorpusBytes / 1e6 / time.TotalSeconds:N1} MB/s");
        Console.WriteLine($"vocabulary: {vocabulary.VocabSize:N0} tokens (256 bytes, {vocabulary.Tokens.Count - 256:N0} merged, {vocabulary.SpecialTokens.Count} control), {vocabulary.BytesPerToken:N3} bytes per token of the corpus");
        if (vocabulary.VocabSize < config.VocabSize)
        {
            Console.WriteLine($"note: the corpus has only this many pairs that occur {config.MinFrequency} times or more; {config.VocabSize:N0} tokens were asked for");
        }
        Console.WriteLine($"written: {Path.Combine(directory, "tokenizer.json")}, {Path.Combine(directory, "tokenizer_config.json")} in {time.TotalSeconds:N1} s");
    }
}

/// <summary>Shows how far the learning is, on standard error: one line that changes on a terminal, a line every few seconds elsewhere.</summary>
internal sealed class BpeProgressWriter : IProgress<BpeProgress>, IDisposable
{
    private static readonly TimeSpan TerminalInterval = TimeSpan.FromMilliseconds(200), PlainInterval = TimeSpan.FromSeconds(5);
    private readonly Lock _lock = new();
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly bool _isTerminal = !Console.IsErrorRedirected;
    private TimeSpan _next = TimeSpan.FromMilliseconds(200);

    public void Report(BpeProgress value)
    {
        lock (_lock)
        {
            if (_clock.Elapsed < _next)
            {
                return;
            }
            _next = _clock.Elapsed + (_isTerminal ? TerminalInterval : PlainInterval);
            string line = value.Phase == BpePhase.Counting
                ? $"counting words: {value.Done / 1e6:N0} MB, {value.Done / 1e6 / _clock.Elapsed.TotalSeconds:N1} MB/s"
                : $"merging pairs: {value.Done:N0} of {value.Total:N0}";
            Console.Error.Write(_isTerminal ? $"\r{line,-60}" : $"{line}\n");
        }
    }

    public void Dispose()
    {
        if (_isTerminal)
        {
            Console.Error.Write($"\r{"",-60}\r");
        }
    }
}
