using System.Buffers;

namespace TrainServe.Core.Tokenization;

/// <summary>Finds added tokens that are ordinary text (runs of spaces, <c>&lt;tool_call&gt;</c>): the leftmost, and there the longest.</summary>
internal sealed class AddedTokenFinder
{
    private readonly AddedToken[] _longestFirst;
    private readonly SearchValues<string> _contents;

    private AddedTokenFinder(AddedToken[] longestFirst)
    {
        _longestFirst = longestFirst;
        _contents = SearchValues.Create(longestFirst.Select(token => token.Content).ToArray(), StringComparison.Ordinal);
    }

    /// <summary>Null when there are none.</summary>
    public static AddedTokenFinder? Create(IEnumerable<AddedToken> tokens)
    {
        AddedToken[] longestFirst = [.. tokens.OrderByDescending(token => token.Content.Length)];
        return longestFirst.Length == 0 ? null : new AddedTokenFinder(longestFirst);
    }

    public AddedToken? Find(ReadOnlySpan<char> text, out int index)
    {
        index = text.IndexOfAny(_contents);
        if (index >= 0)
        {
            var rest = text[index..];
            foreach (var token in _longestFirst)
            {
                if (rest.StartsWith(token.Content, StringComparison.Ordinal))
                {
                    return token;
                }
            }
        }
        return null;
    }
}
