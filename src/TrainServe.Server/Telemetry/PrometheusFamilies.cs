using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace TrainServe.Server.Telemetry;

/// <summary>Numbers under one name, a series for each combination of label values, in Prometheus's text form.</summary>
/// <param name="name">With its unit, as <c>vllm:time_to_first_token_seconds</c>.</param>
/// <param name="help">What it says.</param>
/// <param name="labels">Names of the labels.</param>
internal abstract class PrometheusFamily(string name, string help, string[] labels)
{
    public string Name { get; } = name;

    protected abstract string Type { get; }

    public void Write(StringBuilder text)
    {
        text.Append("# HELP ").Append(Name).Append(' ').Append(help).Append('\n').Append("# TYPE ").Append(Name).Append(' ').Append(Type).Append('\n');
        WriteSeries(text);
    }

    protected abstract void WriteSeries(StringBuilder text);

    protected string LabelsOf(ReadOnlySpan<string> values)
    {
        var text = new StringBuilder();
        for (int i = 0; i < labels.Length; i++)
        {
            text.Append(i == 0 ? "" : ",").Append(labels[i]).Append("=\"")
                .Append(values[i].Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal)).Append('"');
        }
        return text.ToString();
    }

    protected static string Number(double value) => double.IsPositiveInfinity(value) ? "+Inf" : value.ToString(CultureInfo.InvariantCulture);

    protected static void WriteLine(StringBuilder text, string name, string labels, string value) =>
        text.Append(name).Append('{').Append(labels).Append("} ").Append(value).Append('\n');
}

/// <summary>Something that only grows.</summary>
internal sealed class PrometheusCounter(string name, string help, params string[] labels) : PrometheusFamily(name, help, labels)
{
    private readonly ConcurrentDictionary<string, StrongCount> _series = new(StringComparer.Ordinal);

    protected override string Type => "counter";

    public void Add(long amount, params ReadOnlySpan<string> values) =>
        Interlocked.Add(ref _series.GetOrAdd(LabelsOf(values), _ => new StrongCount()).Value, amount);

    protected override void WriteSeries(StringBuilder text)
    {
        foreach (var (labels, count) in _series.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            WriteLine(text, Name, labels, Interlocked.Read(ref count.Value).ToString(CultureInfo.InvariantCulture));
        }
    }

    private sealed class StrongCount
    {
        public long Value;
    }
}

/// <summary>Something that is measured when it is asked for.</summary>
/// <param name="type">gauge, or counter for what only grows.</param>
/// <param name="name">With its unit.</param>
/// <param name="help">What it says.</param>
/// <param name="measure">Gives the value of each label value.</param>
/// <param name="label">Name of the label.</param>
internal sealed class PrometheusReading(string type, string name, string help, Func<IEnumerable<(string Label, double Value)>> measure, string label) : PrometheusFamily(name, help, [label])
{
    protected override string Type => type;

    protected override void WriteSeries(StringBuilder text)
    {
        foreach (var (value, number) in measure())
        {
            WriteLine(text, Name, LabelsOf([value]), Number(number));
        }
    }
}

/// <summary>How often something was in which range.</summary>
internal sealed class PrometheusHistogram(string name, string help, double[] bounds, params string[] labels) : PrometheusFamily(name, help, labels)
{
    private readonly ConcurrentDictionary<string, Series> _series = new(StringComparer.Ordinal);

    protected override string Type => "histogram";

    /// <summary>The series of some label values, to be kept by who observes often.</summary>
    public Series Of(params ReadOnlySpan<string> values) => _series.GetOrAdd(LabelsOf(values), _ => new Series(bounds));

    protected override void WriteSeries(StringBuilder text)
    {
        foreach (var (labels, series) in _series.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            var (counts, sum) = series.Read();
            long total = 0;
            for (int i = 0; i < counts.Length; i++)
            {
                total += counts[i];
                WriteLine(text, $"{Name}_bucket", $"{labels},le=\"{Number(i < bounds.Length ? bounds[i] : double.PositiveInfinity)}\"", total.ToString(CultureInfo.InvariantCulture));
            }
            WriteLine(text, $"{Name}_sum", labels, Number(sum));
            WriteLine(text, $"{Name}_count", labels, total.ToString(CultureInfo.InvariantCulture));
        }
    }

    internal sealed class Series(double[] bounds)
    {
        private readonly long[] _counts = new long[bounds.Length + 1];
        private readonly Lock _gate = new();
        private double _sum;

        public void Observe(double value)
        {
            int bucket = 0;
            while (bucket < bounds.Length && value > bounds[bucket])
            {
                bucket++;
            }
            lock (_gate)
            {
                _counts[bucket]++;
                _sum += value;
            }
        }

        public (long[] Counts, double Sum) Read()
        {
            lock (_gate)
            {
                return ([.. _counts], _sum);
            }
        }
    }
}
