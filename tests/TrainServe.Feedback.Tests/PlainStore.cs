namespace TrainServe.Feedback.Tests;

/// <summary>The store as one would write it without a database: what the real one is compared with.</summary>
internal sealed class PlainStore
{
    private readonly Dictionary<string, StoredAnswer> _answers = [];
    private readonly Dictionary<string, FeedbackEntry> _entries = [];

    public void Add(StoredAnswer answer) => _answers.TryAdd(answer.Id, answer);

    public StoredAnswer? FindAnswer(string id, string key) => _answers.GetValueOrDefault(id) is { } answer && answer.Key == key ? answer : null;

    public FeedbackEntry? Find(string id, string key) => _entries.GetValueOrDefault(id) is { } entry && entry.Key == key ? entry : null;

    public bool? Say(FeedbackEntry entry)
    {
        if (!_answers.ContainsKey(entry.AnswerId) || (entry.PreferredOverId is { } other && !_answers.ContainsKey(other)))
        {
            return null;
        }
        bool isNew = !_entries.ContainsKey(entry.Id);
        _entries[entry.Id] = entry;
        return isNew;
    }

    public bool Delete(string id, string key) => Find(id, key) is not null && _entries.Remove(id);

    public bool DeleteAnswer(string id, string key) => FindAnswer(id, key) is not null && Remove(id);

    public int DeleteOlder(DateTimeOffset before)
    {
        string[] old = [.. _answers.Values.Where(answer => answer.Created < before).Select(answer => answer.Id)];
        return old.Count(Remove);
    }

    public string Read(DateTimeOffset? since, string? model) => string.Join('\n', _answers.Values
        .Where(answer => (since is null || answer.Created >= since) && (model is null || answer.Model == model) && _entries.Values.Any(entry => entry.AnswerId == answer.Id || entry.PreferredOverId == answer.Id))
        .OrderBy(answer => answer.Created).ThenBy(answer => answer.Id, StringComparer.Ordinal)
        .Select(answer => string.Join('|', [Answers.Show(answer), .. _entries.Values.Where(entry => entry.AnswerId == answer.Id).OrderBy(entry => entry.Created).ThenBy(entry => entry.Id, StringComparer.Ordinal).Select(Answers.Show)])));

    private bool Remove(string id)
    {
        foreach (var entry in _entries.Values.Where(entry => entry.AnswerId == id || entry.PreferredOverId == id).ToArray())
        {
            _entries.Remove(entry.Id);
        }
        return _answers.Remove(id);
    }
}
