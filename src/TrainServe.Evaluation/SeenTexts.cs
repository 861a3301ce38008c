using System.Text;
using TrainServe.Core.Data;

namespace TrainServe.Evaluation;

/// <summary>Whether a text stands in what a model was pretrained on: an answer that does tells what the model remembers, not what it can judge.</summary>
public sealed class SeenTexts
{
    private readonly string _all;

    public SeenTexts(IEnumerable<Document> documents)
    {
        var all = new StringBuilder();
        foreach (var document in documents)
        {
            all.Append(Plain(document.Text)).Append('\n');
        }
        _all = all.ToString();
    }

    /// <summary>The whole text stands in one of the documents; white space is all the same.</summary>
    public bool Contain(string text) => Plain(text) is { Length: > 0 } plain && _all.Contains(plain, StringComparison.Ordinal);

    private static string Plain(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
