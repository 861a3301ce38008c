using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;

namespace TrainServe.Training.ConstitutionalAi;

/// <summary>What a model made of its own answer.</summary>
/// <param name="Prompt">The question.</param>
/// <param name="Principle">By which it was judged.</param>
/// <param name="Answer">The first answer.</param>
/// <param name="Critique">What the model found wrong with it.</param>
/// <param name="Revision">The answer to learn.</param>
public sealed record RevisedAnswer(Prompt Prompt, string Principle, string Answer, string Critique, string Revision);

/// <summary>Two answers of a model, and which of them it finds better by a principle.</summary>
/// <param name="Confidence">Probability that the chosen one is better, from a half to 1.</param>
public sealed record ComparedAnswers(Prompt Prompt, string Principle, string Chosen, string Rejected, double Confidence);

/// <summary>The stage that needs no human label: a model criticizes and revises its own answers by a constitution, then says which of two answers is better.</summary>
/// <remarks>
/// Bai et al. 2022, arXiv:2212.08073, sections 3 and 4. Revisions are for fine-tuning, comparisons for a reward model or DPO. Which principle a prompt gets, and what is sampled, follows
/// from the seed and the prompt's number. Two answers are compared in both orders, and the mean counts: small models favour a place.
/// </remarks>
public sealed class CritiqueAndRevision
{
    private const string First = " (A)", Second = " (B)";
    private readonly Constitution _constitution;
    private readonly ILanguageScorer _model;
    private readonly TextTokenizer _tokenizer;
    private readonly ChatTemplate _template;
    private readonly SamplingParameters _sampling;
    private readonly int _maxNewTokens;
    private readonly ulong _seed;

    /// <param name="constitution">The principles.</param>
    /// <param name="model">Answers, criticizes, revises and compares.</param>
    /// <param name="tokenizer">Its own.</param>
    /// <param name="template">Its own.</param>
    /// <param name="sampling">How it is sampled; its seed is replaced.</param>
    /// <param name="maxNewTokens">Most tokens of each answer.</param>
    /// <param name="seed">Decides principles and samples.</param>
    public CritiqueAndRevision(Constitution constitution, ILanguageScorer model, TextTokenizer tokenizer, ChatTemplate template, SamplingParameters sampling, int maxNewTokens, ulong seed) =>
        (_constitution, _model, _tokenizer, _template, _sampling, _maxNewTokens, _seed) = (constitution, model, tokenizer, template, sampling, maxNewTokens, seed);

    /// <summary>Prompts of which a step did not fit the context or gave no text.</summary>
    public int Skipped { get; private set; }

    /// <summary>Answers, critiques and revisions.</summary>
    public IEnumerable<RevisedAnswer> Revise(IEnumerable<Prompt> prompts, CancellationToken stop = default)
    {
        int number = 0;
        foreach (var prompt in prompts)
        {
            stop.ThrowIfCancellationRequested();
            var random = new PhiloxRandom(_seed, (ulong)number++);
            var principle = _constitution.Principles[random.NextInt32(_constitution.Principles.Count)];
            List<ChatMessage> talk = [.. prompt.Messages];
            if (Speak(talk, random, stop) is { } answer && Speak([.. talk, ChatMessage.Assistant(answer), ChatMessage.User(principle.Critique)], random, stop) is { } critique
                && Speak([.. talk, ChatMessage.Assistant(answer), ChatMessage.User(principle.Critique), ChatMessage.Assistant(critique), ChatMessage.User(principle.Revision)], random, stop) is { } revision)
            {
                yield return new RevisedAnswer(prompt, principle.Name, answer, critique, revision);
            }
            else
            {
                Skipped++;
            }
        }
    }

    /// <summary>Two answers to each prompt and which is better; equal answers are left out.</summary>
    public IEnumerable<ComparedAnswers> Compare(IEnumerable<Prompt> prompts, CancellationToken stop = default)
    {
        int number = 0;
        foreach (var prompt in prompts)
        {
            stop.ThrowIfCancellationRequested();
            // Other numbers than those of the revisions.
            var random = new PhiloxRandom(_seed, (1UL << 40) + (ulong)number++);
            var principle = _constitution.Principles[random.NextInt32(_constitution.Principles.Count)];
            string? one = Speak(prompt.Messages, random, stop), other = Speak(prompt.Messages, random, stop);
            if (one is null || other is null || one == other || Preference(prompt, principle, one, other, stop) is not { } preference)
            {
                Skipped++;
                continue;
            }
            double probability = 1 / (1 + Math.Exp(-Math.Abs(preference)));
            yield return preference >= 0 ? new ComparedAnswers(prompt, principle.Name, one, other, probability) : new ComparedAnswers(prompt, principle.Name, other, one, probability);
        }
    }

    // Log-odds that the first answer is the better one, the mean over both orders; null when the question does not fit.
    private double? Preference(Prompt prompt, Principle principle, string one, string other, CancellationToken stop)
    {
        string question = prompt.Messages[^1].Content;
        string Ask(string a, string b) => $"{principle.Comparison}\n\n{question}\n\n(A) {a}\n(B) {b}";
        int[] first = _tokenizer.Encode(First), second = _tokenizer.Encode(Second);
        var requests = new List<ScoringRequest>();
        foreach (string text in new[] { Ask(one, other), Ask(other, one) })
        {
            int[] context = _template.EncodePrompt([ChatMessage.User(text)]);
            if (context.Length + Math.Max(first.Length, second.Length) - 1 > _model.ContextLength)
            {
                return null;
            }
            requests.Add(new ScoringRequest(context, first));
            requests.Add(new ScoringRequest(context, second));
        }
        var scored = _model.Score(requests, stop);
        return (scored[0].Sum - scored[1].Sum - (scored[2].Sum - scored[3].Sum)) / 2;
    }

    // Null when the talk leaves no room for an answer, or the answer has no text.
    private string? Speak(IReadOnlyList<ChatMessage> talk, PhiloxRandom random, CancellationToken stop)
    {
        int[] ids = _template.EncodePrompt(talk);
        if (ids.Length + _maxNewTokens > _model.ContextLength)
        {
            return null;
        }
        var answer = _model.Generate([ids], _maxNewTokens, _sampling with { Seed = random.NextUInt64() }, [.. _template.StopTokenIds], stop)[0];
        string text = _tokenizer.Decode(answer).Trim();
        return text.Length == 0 ? null : text;
    }
}
