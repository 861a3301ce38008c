namespace TrainServe.Inference.Tests;

/// <summary>Holds an engine before each step until the test lets it go on.</summary>
internal sealed class StepGate : IDisposable
{
    private readonly SemaphoreSlim _tickets = new(0), _arrived = new(0);
    private readonly HashRunner _runner;
    private volatile bool _open;
    private volatile int _rows;
    private volatile Exception? _failure;

    public StepGate(HashRunner runner)
    {
        _runner = runner;
        runner.BeforeStep = Wait;
    }

    /// <summary>Lets the engine make some steps, one after the other.</summary>
    public void Pass(int steps)
    {
        for (int i = 0; i < steps; i++)
        {
            NextRows();
            _arrived.Wait();
            _tickets.Release();
        }
    }

    /// <summary>Waits until the engine stands before a step, and says how many slots are in it.</summary>
    public int NextRows()
    {
        Assert.True(_arrived.Wait(TimeSpan.FromSeconds(20)), "The engine did not come to its next step.");
        _arrived.Release();
        return _rows;
    }

    /// <summary>Lets it run freely.</summary>
    public void Open()
    {
        _open = true;
        _tickets.Release(1000);
    }

    /// <summary>The step that it stands before fails.</summary>
    public void Fail(Exception error)
    {
        _failure = error;
        Open();
    }

    public void Dispose()
    {
        Open();
        _runner.BeforeStep = _ => { };
    }

    private void Wait(int rows)
    {
        if (!_open)
        {
            _rows = rows;
            _arrived.Release();
            _tickets.Wait();
        }
        if (_failure is { } failure)
        {
            throw failure;
        }
    }
}

/// <summary>A clock that stands still until it is moved.</summary>
internal sealed class ManualTime : TimeProvider
{
    private DateTimeOffset _now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;
    public override DateTimeOffset GetUtcNow() => _now;
    public override long GetTimestamp() => _now.Ticks;
    public void Advance(TimeSpan by) => _now += by;
}
