using System.CommandLine;
using System.Text;
using TrainServe.Core.IO;
using TrainServe.Evaluation.Tasks;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve evaluate pool</c>: the findings of several folds as one result, of each source and of all.</summary>
public static class EvaluatePoolCommand
{
    public static Command Create()
    {
        var files = new Argument<string[]>("files") { Description = "What evaluate --findings wrote, of one fold each.", Arity = ArgumentArity.OneOrMore };
        var command = new Command("pool", "Puts the findings on preference pairs of several folds together.") { files };
        command.SetAction(arguments =>
        {
            var findings = arguments.GetRequiredValue(files).SelectMany(Read).ToList();
            var sources = findings.GroupBy(finding => finding.Source ?? "", StringComparer.Ordinal).ToList();
            foreach (var source in sources.Where(_ => sources.Count > 1))
            {
                Console.WriteLine(EvaluateCommand.Line(source.Key, PreferenceTask.Of([.. source], overLong: 0)));
            }
            Console.WriteLine(EvaluateCommand.Line("pooled", PreferenceTask.Of(findings, overLong: 0)));
        });
        return command;
    }

    private static IEnumerable<PairFinding> Read(string path)
    {
        int line = 0;
        foreach (string text in File.ReadLines(path))
        {
            line++;
            yield return JsonFile.Parse<PairFinding>(Encoding.UTF8.GetBytes(text), $"{path}:{line}", JsonFile.SnakeCaseLine);
        }
        if (line == 0)
        {
            throw new InvalidDataException($"{path} holds no findings.");
        }
    }
}
