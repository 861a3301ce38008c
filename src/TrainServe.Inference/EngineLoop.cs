using System.Collections.Concurrent;
using TrainServe.Core.Sampling;
using TrainServe.Inference.Execution;
using TrainServe.Inference.Scheduling;
using TrainServe.Inference.Speculation;

namespace TrainServe.Inference;

// V vocabulary.

/// <summary>The engine's one thread: schedule, run, sample, publish. It alone touches running sequences and the cache.</summary>
/// <remarks>Each turn computes at most one chunk of prompt tokens and then one token for each decoding sequence, so that a long prompt delays the others by one chunk at most.</remarks>
internal sealed class EngineLoop
{
    private readonly IModelRunner _runner;
    private readonly EngineOptions _options;
    private readonly Admission _admission;
    private readonly TimeProvider _time;
    private readonly TokenSampler _sampler;
    private readonly ConcurrentQueue<Sequence> _arrivals = new();
    // Never disposed: a consumer may leave its stream after the engine's end.
    private readonly AutoResetEvent _wake = new(false);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly WaitingQueue _waiting = new();
    private readonly List<Sequence> _unpublished = [];
    private readonly SlotTable _slots;
    private readonly Action<Sequence> _leaveQueue;
    private readonly int[] _ids, _lengths, _guessed;
    private readonly IDrafter? _drafter;
    private readonly SpeculationPace _pace = new();
    private long _tokensGenerated, _promptTokensComputed, _promptTokensCopied, _preemptions, _drafted, _draftsAccepted, _lastTokenUtcTicks;
    private volatile bool _stopping;
    private volatile string? _fault;

    public EngineLoop(IModelRunner runner, EngineOptions options, Admission admission, TimeProvider time, IDrafter? drafter = null)
    {
        (_runner, _options, _admission, _time, _drafter) = (runner, options, admission, time, drafter);
        _guessed = new int[1 + (drafter is null ? 0 : options.DraftTokens ?? 0)];
        _sampler = new TokenSampler(runner.VocabSize);
        (_slots, _ids, _lengths) = (new SlotTable(runner, options.Slots), new int[options.Slots], new int[options.Slots]);
        _leaveQueue = sequence => admission.Leave(sequence.PromptLength);
        new Thread(Run) { IsBackground = true, Name = "TrainServe engine" }.Start();
    }

    /// <summary>Done when the thread has ended and the runner is disposed.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Why there will be no further step; null while there may be.</summary>
    public string? Fault => _fault;

    public EngineStatus Status
    {
        get
        {
            long ticks = Interlocked.Read(ref _lastTokenUtcTicks);
            return _admission.Status() with
            {
                TokensGenerated = Interlocked.Read(ref _tokensGenerated),
                PromptTokensComputed = Interlocked.Read(ref _promptTokensComputed),
                PromptTokensCopied = Interlocked.Read(ref _promptTokensCopied),
                Preemptions = Interlocked.Read(ref _preemptions),
                TokensDrafted = Interlocked.Read(ref _drafted),
                DraftedTokensAccepted = Interlocked.Read(ref _draftsAccepted),
                LastToken = ticks == 0 ? null : new DateTimeOffset(ticks, TimeSpan.Zero),
                Fault = _fault,
            };
        }
    }

    /// <summary>Takes a sequence that was admitted; its stream fails if the engine has. For any thread.</summary>
    public void Submit(Sequence sequence)
    {
        _arrivals.Enqueue(sequence);
        // The thread may have looked for the last time before this one arrived.
        if (_fault is not null)
        {
            FailArrivals();
        }
        _wake.Set();
    }

    /// <summary>Ends a sequence before the next step. For any thread.</summary>
    public void Cancel(Sequence sequence)
    {
        sequence.RequestCancel();
        _wake.Set();
    }

    public void Stop()
    {
        _stopping = true;
        _wake.Set();
    }

    private void Run()
    {
        string fault = "The engine was stopped.";
        Exception? cause = null;
        try
        {
            while (!_stopping)
            {
                TakeArrivals();
                DropUnwanted();
                if (_slots.IsEmpty && _waiting.IsEmpty)
                {
                    _wake.WaitOne();
                    continue;
                }
                Prefill();
                Decode();
            }
        }
        catch (Exception error)
        {
            (fault, cause) = ($"The engine failed: {error.Message}", error);
        }
        _fault = fault;
        EndAll(fault, cause);
        _runner.Dispose();
        _drafter?.Dispose();
        _ended.SetResult();
    }

    private void TakeArrivals()
    {
        while (_arrivals.TryDequeue(out var sequence))
        {
            _waiting.Add(sequence);
        }
    }

    /// <summary>Ends what was cancelled and what has run out of time.</summary>
    private void DropUnwanted()
    {
        foreach (var sequence in _waiting.All)
        {
            EndIfUnwanted(sequence);
        }
        _waiting.RemoveEnded(_leaveQueue);
        foreach (var sequence in _slots.Decoding)
        {
            EndIfUnwanted(sequence);
        }
        EndIfUnwanted(_slots.Prefilling);
        FreeAndPublish();
    }

    private void EndIfUnwanted(Sequence? sequence)
    {
        if (sequence is { CancelRequested: true })
        {
            End(sequence, new OperationCanceledException());
        }
        else if (sequence?.Deadline is { } deadline && _time.GetTimestamp() >= deadline)
        {
            End(sequence, new DeadlineExceededException(sequence.TimeLimit));
        }
    }

    private void End(Sequence sequence, Exception error)
    {
        sequence.Fail(error);
        _unpublished.Add(sequence);
    }

    /// <summary>Computes one chunk of prompt tokens: of one long prompt, or of several that fit into it whole.</summary>
    private void Prefill()
    {
        int budget = _options.PrefillChunk;
        while (budget > 0 && NextPrefill() is { } sequence)
        {
            int take = PrefillChunks.Next(sequence.Left, _options.PrefillChunk);
            if (take > budget && budget < _options.PrefillChunk)
            {
                return;
            }
            var newest = Compute(sequence, take);
            budget -= take;
            Interlocked.Add(ref _promptTokensComputed, take);
            _admission.Progress();
            if (sequence.Left == 0)
            {
                Complete(sequence, newest);
                _slots.StartDecoding();
                FreeAndPublish();
            }
        }
    }

    /// <summary>Computes the next tokens of a prompt, and gives the logits after them; nothing where the prompt is only read.</summary>
    private ReadOnlySpan<float> Compute(Sequence sequence, int take)
    {
        int start = sequence.Cached;
        var ids = sequence.Tokens.Slice(start, take);
        if (sequence.Reading is not { } reading)
        {
            var logits = _runner.Prefill(sequence.Slot, start, ids, allLogits: false);
            sequence.Cached += take;
            return logits;
        }
        reading.Take(_runner, _sampler, sequence.Slot, start, sequence.Tokens, take);
        sequence.Cached += take;
        return [];
    }

    private void Complete(Sequence sequence, ReadOnlySpan<float> logits)
    {
        if (sequence.Reading is null)
        {
            Choose(sequence, logits);
            return;
        }
        sequence.EndReading();
        _unpublished.Add(sequence);
    }

    private Sequence? NextPrefill()
    {
        if (_waiting.First is { } first && (_slots.HasRoom || TakeSlotFor(first)))
        {
            _waiting.RemoveFirst();
            bool resumes = first.CopiedPromptTokens >= 0;
            _slots.StartPrefill(first);
            Interlocked.Add(ref _promptTokensCopied, resumes ? 0 : first.CopiedPromptTokens);
            _admission.Start(first.PromptLength);
        }
        return _slots.Prefilling;
    }

    /// <summary>Suspends a running sequence where one of higher priority waits: the one whose prompt is being computed, since there is one such place, else the last in turn.</summary>
    private bool TakeSlotFor(Sequence first)
    {
        if ((_slots.Prefilling ?? _slots.Last()) is not { } last || last.Priority >= first.Priority)
        {
            return false;
        }
        _slots.Suspend(last);
        _admission.Suspend(last.PromptLength);
        _waiting.Add(last);
        Interlocked.Increment(ref _preemptions);
        return _slots.HasRoom;
    }

    /// <summary>Computes one token for each decoding sequence.</summary>
    private void Decode()
    {
        var decoding = _slots.Decoding;
        if (decoding.IsEmpty)
        {
            return;
        }
        long start = _time.GetTimestamp();
        if (decoding.Length == 1 && DecodeGuessed(decoding[0], start))
        {
            FreeAndPublish();
            return;
        }
        for (int slot = 0; slot < decoding.Length; slot++)
        {
            (_ids[slot], _lengths[slot]) = (decoding[slot].LastId, decoding[slot].Cached);
        }
        var logits = _runner.Decode(_ids.AsSpan(0, decoding.Length), _lengths.AsSpan(0, decoding.Length));
        _admission.Progress();
        for (int slot = 0; slot < decoding.Length; slot++)
        {
            decoding[slot].Cached++;
            Choose(decoding[slot], logits.Slice(slot * _runner.VocabSize, _runner.VocabSize));
        }
        if (decoding.Length == 1)
        {
            _pace.Plain(_time.GetElapsedTime(start).TotalSeconds);
        }
        FreeAndPublish();
    }

    /// <summary>Computes a sequence's newest token and guesses of the next in one step, and keeps them as far as they are what would have been chosen.</summary>
    /// <returns>False where nothing was guessed.</returns>
    private bool DecodeGuessed(Sequence sequence, long start)
    {
        int room = Math.Min(_guessed.Length - 1, Math.Min(sequence.MaxNewTokens - sequence.Generated, _runner.ContextLength - sequence.Cached) - 1);
        if (room <= 0 || !_pace.ShouldGuess)
        {
            return false;
        }
        int guesses = _drafter!.Draft(sequence.Tokens, _guessed.AsSpan(1, room)), right = 0;
        if (guesses == 0)
        {
            return false;
        }
        _guessed[0] = sequence.LastId;
        var logits = _runner.Prefill(sequence.Slot, sequence.Cached, _guessed.AsSpan(0, 1 + guesses), allLogits: true);
        _admission.Progress();
        while (true)
        {
            sequence.Cached++;
            Choose(sequence, logits.Slice(right * _runner.VocabSize, _runner.VocabSize));
            if (sequence.HasEnded || right == guesses || sequence.LastId != _guessed[1 + right])
            {
                break;
            }
            sequence.Publish();
            right++;
        }
        _pace.Verified(_time.GetElapsedTime(start).TotalSeconds, guesses, right);
        Interlocked.Exchange(ref _drafted, _pace.Drafted);
        Interlocked.Exchange(ref _draftsAccepted, _pace.Accepted);
        return true;
    }

    private void Choose(Sequence sequence, ReadOnlySpan<float> logits)
    {
        try
        {
            var token = _sampler.Sample(logits, sequence.Sampling, sequence.History, sequence.Seed, sequence.Generated, sequence.Constraint);
            var top = sequence.Sampling.TopLogProbs > 0 ? _sampler.MostLikely(logits, sequence.Sampling.TopLogProbs) : [];
            // Counted first: who has read the last token finds it in the status.
            Interlocked.Increment(ref _tokensGenerated);
            Interlocked.Exchange(ref _lastTokenUtcTicks, _time.GetUtcNow().UtcTicks);
            sequence.Add(token, top);
        }
        catch (Exception error)
        {
            // Whatever goes wrong in choosing one sequence's token is that sequence's fault alone.
            sequence.Fail(error);
        }
        _unpublished.Add(sequence);
    }

    /// <summary>Frees the slots of what has ended; then consumers see what is new, so that who sees an end finds the slot free.</summary>
    private void FreeAndPublish()
    {
        _admission.Finish(_slots.FreeEnded());
        foreach (var sequence in _unpublished)
        {
            sequence.Publish();
        }
        _unpublished.Clear();
    }

    private void EndAll(string fault, Exception? cause)
    {
        int running = _slots.Decoding.Length + (_slots.Prefilling is null ? 0 : 1);
        foreach (var sequence in _slots.Decoding)
        {
            End(sequence, new EngineFaultException(fault, cause));
        }
        if (_slots.Prefilling is { } prefilling)
        {
            End(prefilling, new EngineFaultException(fault, cause));
        }
        foreach (var sequence in _waiting.All)
        {
            End(sequence, new EngineFaultException(fault, cause));
        }
        _waiting.RemoveEnded(_leaveQueue);
        _admission.Finish(running);
        // The slots stay as they are: whatever failed may fail again, and nothing will run in them.
        _unpublished.ForEach(sequence => sequence.Publish());
        FailArrivals();
    }

    private void FailArrivals()
    {
        while (_arrivals.TryDequeue(out var sequence))
        {
            _admission.Leave(sequence.PromptLength);
            sequence.Fail(new EngineFaultException(_fault!));
            sequence.Publish();
        }
    }
}
