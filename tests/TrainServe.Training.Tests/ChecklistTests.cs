using System.Globalization;
using System.Text.RegularExpressions;
using TrainServe.TestSupport;

namespace TrainServe.Training.Tests;

/// <summary>CHECKLIST.md names the tests that hold alignment to its details.</summary>
public sealed partial class ChecklistTests
{
    [Fact]
    public void Every_detail_of_alignment_has_a_test_that_exists_or_a_decision()
    {
        string[] rows = [.. File.ReadLines(RepositoryRoot.PathOf("tests/TrainServe.Training.Tests/CHECKLIST.md")).Where(line => Row().IsMatch(line))];
        Assert.Equal(Enumerable.Range(1, 51), rows.Select(row => int.Parse(Row().Match(row).Groups[1].ValueSpan, CultureInfo.InvariantCulture)));
        var sources = Directory.EnumerateFiles(RepositoryRoot.PathOf("tests"), "*Tests.cs", SearchOption.AllDirectories).ToLookup(path => Path.GetFileNameWithoutExtension(path), StringComparer.Ordinal);
        foreach (string row in rows)
        {
            var tests = Name().Matches(row);
            Assert.True(tests.Count > 0 || row.Contains("decision: ", StringComparison.Ordinal), row);
            foreach (Match test in tests)
            {
                Assert.True(sources[test.Groups[1].Value].Any(path => File.ReadAllText(path).Contains($" {test.Groups[2].Value}(", StringComparison.Ordinal)), test.Value);
            }
        }
    }

    [GeneratedRegex(@"^\| (\d+) \|")]
    private static partial Regex Row();

    [GeneratedRegex(@"`(\w+Tests)\.(\w+)`")]
    private static partial Regex Name();
}
