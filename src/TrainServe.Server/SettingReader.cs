using System.Globalization;

namespace TrainServe.Server;

/// <summary>Reads settings and gathers every error, so that an operator sees all of them at once.</summary>
internal sealed class SettingReader(IConfigurationSection section)
{
    private List<string> _errors = [];
    private readonly HashSet<string> _known = new(StringComparer.OrdinalIgnoreCase);

    public string Text(string name, string fallback) => Value(name) ?? fallback;

    public string OneOf(string name, string fallback, params ReadOnlySpan<string> values)
    {
        string value = Value(name) ?? fallback;
        if (!values.Contains(value))
        {
            _errors.Add($"{section.Path}:{name} is '{value}'; it must be one of {string.Join(", ", values!)}.");
        }
        return value;
    }

    /// <summary>A rule that only the caller knows is broken.</summary>
    /// <param name="name">The setting.</param>
    /// <param name="rule">The rule.</param>
    /// <param name="show">Whether the value may be shown.</param>
    public void Wrong(string name, string rule, bool show = true) =>
        _errors.Add($"{section.Path}:{name}{(show ? $" is '{section[name] ?? string.Join(", ", section.GetSection(name).GetChildren().Select(child => child.Value))}'" : " is wrong")}; {rule}.");

    /// <summary>What a list of sections says.</summary>
    public IReadOnlyList<T> Each<T>(string name, Func<SettingReader, T> read)
    {
        _known.Add(name);
        var items = new List<T>();
        foreach (var child in section.GetSection(name).GetChildren())
        {
            var reader = new SettingReader(child) { _errors = _errors };
            items.Add(read(reader));
            reader.GatherUnknown();
        }
        return items;
    }

    public bool Flag(string name, bool fallback)
    {
        if (Value(name) is not { } text)
        {
            return fallback;
        }
        if (bool.TryParse(text, out bool value))
        {
            return value;
        }
        Wrong(name, "it must be true or false");
        return fallback;
    }

    public int? WholeOrNull(string name, int least, int most) => Value(name) is null ? null : Whole(name, least, least, most);

    public int Whole(string name, int fallback, int least, int most)
    {
        if (Value(name) is not { } text)
        {
            return fallback;
        }
        if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most)
        {
            return value;
        }
        _errors.Add($"{section.Path}:{name} is '{text}'; it must be a whole number from {least} to {most}.");
        return fallback;
    }

    /// <summary>A duration given in seconds.</summary>
    public TimeSpan Seconds(string name, TimeSpan fallback, double least, double most)
    {
        if (Value(name) is not { } text)
        {
            return fallback;
        }
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= least && value <= most)
        {
            return TimeSpan.FromSeconds(value);
        }
        _errors.Add(string.Create(CultureInfo.InvariantCulture, $"{section.Path}:{name} is '{text}'; it must be a number of seconds from {least} to {most}."));
        return fallback;
    }

    /// <summary>Texts separated by semicolons, or a JSON array.</summary>
    public IReadOnlyList<string> Texts(string name, IReadOnlyList<string> fallback)
    {
        _known.Add(name);
        var setting = section.GetSection(name);
        string[] values = setting.Value?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            ?? [.. setting.GetChildren().Select(child => child.Value ?? "")];
        return values.Length > 0 ? values : fallback;
    }

    /// <summary>Texts of the form NAME=VALUE; without <paramref name="values"/> any value is allowed.</summary>
    public IReadOnlyList<string> Pairs(string name, params string[] values)
    {
        var pairs = Texts(name, []);
        foreach (string pair in pairs.Where(pair => pair.Split('=') is not [{ Length: > 0 }, { Length: > 0 } value] || (values.Length > 0 && !values.Contains(value, StringComparer.Ordinal))))
        {
            _errors.Add($"{section.Path}:{name} holds '{pair}'; it must be NAME=VALUE{(values.Length > 0 ? $", the value one of {string.Join(", ", values)}" : "")}.");
        }
        return pairs;
    }

    /// <exception cref="InvalidDataException">A setting was wrong or is unknown; the message has a line for each.</exception>
    public void ThrowIfWrong()
    {
        GatherUnknown();
        if (_errors.Count > 0)
        {
            throw new InvalidDataException(string.Join(Environment.NewLine, _errors));
        }
    }

    private void GatherUnknown()
    {
        foreach (var child in section.GetChildren().Where(child => !_known.Contains(child.Key)))
        {
            _errors.Add($"{section.Path}:{child.Key} is not a setting; there are {string.Join(", ", _known.Order(StringComparer.Ordinal))}.");
        }
    }

    private string? Value(string name)
    {
        _known.Add(name);
        return section[name];
    }
}
