namespace TrainServe.Core.Data;

/// <summary>What happens to records that cannot be used: strict reading stops at the first, lenient reading counts them and goes on.</summary>
/// <remarks>Which records are bad depends on the file alone, so that a resumed run leaves out the same ones. Not safe for use from several threads.</remarks>
public sealed class BadRecords
{
    private const int Remembered = 10;
    private readonly List<string> _first = [];

    private BadRecords(bool isLenient) => IsLenient = isLenient;

    public bool IsLenient { get; }

    /// <summary>How many records were good.</summary>
    public long Good { get; private set; }

    /// <summary>How many were left out.</summary>
    public long Skipped { get; private set; }

    /// <summary>The first few faults, each with its file and line.</summary>
    public IReadOnlyList<string> First => _first;

    public static BadRecords Strict() => new(isLenient: false);
    public static BadRecords Lenient() => new(isLenient: true);

    /// <summary>One sentence for a log: how many records were used and how many left out.</summary>
    public override string ToString() => Skipped == 0 ? $"{Good} records" : $"{Good} records, {Skipped} left out, the first because {_first[0]}";

    internal void CountGood() => Good++;

    /// <param name="origin">Which record.</param>
    /// <param name="fault">Why, without a full stop.</param>
    /// <param name="inner">What was thrown, if anything.</param>
    /// <exception cref="InvalidDataException">Reading is strict.</exception>
    internal void Add(RecordOrigin origin, string fault, Exception? inner = null)
    {
        string sentence = $"{origin}: {fault}";
        if (!IsLenient)
        {
            throw new InvalidDataException(sentence + ".", inner);
        }
        Skipped++;
        if (_first.Count < Remembered)
        {
            _first.Add(sentence);
        }
    }
}
