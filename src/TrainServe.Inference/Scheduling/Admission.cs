namespace TrainServe.Inference.Scheduling;

/// <summary>Counts what was admitted, and refuses what would wait too long. For any thread.</summary>
internal sealed class Admission(EngineOptions options, TimeProvider time)
{
    private readonly Lock _gate = new();
    private int _running, _waiting, _waitingPromptTokens;
    private long _progress = time.GetTimestamp();

    /// <exception cref="QueueFullException">Every slot is taken, and as many requests or prompt tokens wait as may.</exception>
    public void Enter(int promptTokens)
    {
        lock (_gate)
        {
            // What finds a free slot does not wait, so it counts for none of the limits.
            int queued = _running + _waiting - options.Slots;
            bool fits = queued < 0 || (queued < options.MaxQueuedRequests && (queued == 0 || (long)_waitingPromptTokens + promptTokens <= options.MaxQueuedPromptTokens));
            if (!fits)
            {
                throw new QueueFullException(_waiting, _waitingPromptTokens);
            }
            if (_running + _waiting == 0)
            {
                _progress = time.GetTimestamp();
            }
            _waiting++;
            _waitingPromptTokens += promptTokens;
        }
    }

    /// <summary>A waiting request got its slot.</summary>
    public void Start(int promptTokens)
    {
        lock (_gate)
        {
            _running++;
            _waiting--;
            _waitingPromptTokens -= promptTokens;
        }
    }

    /// <summary>A running request lost its slot and waits again.</summary>
    public void Suspend(int promptTokens)
    {
        lock (_gate)
        {
            _running--;
            _waiting++;
            _waitingPromptTokens += promptTokens;
        }
    }

    /// <summary>A waiting request will never run.</summary>
    public void Leave(int promptTokens)
    {
        lock (_gate)
        {
            _waiting--;
            _waitingPromptTokens -= promptTokens;
        }
    }

    /// <summary>Running requests gave their slots back.</summary>
    public void Finish(int requests)
    {
        lock (_gate)
        {
            _running -= requests;
        }
    }

    /// <summary>A step was completed.</summary>
    public void Progress()
    {
        lock (_gate)
        {
            _progress = time.GetTimestamp();
        }
    }

    public EngineStatus Status()
    {
        lock (_gate)
        {
            return new EngineStatus
            {
                Running = _running,
                Waiting = _waiting,
                WaitingPromptTokens = _waitingPromptTokens,
                Slots = options.Slots,
                SinceProgress = time.GetElapsedTime(_progress),
            };
        }
    }
}
