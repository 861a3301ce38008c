using TrainServe.Core.Data;
using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;
using TrainServe.Training.RewardModeling;

namespace TrainServe.Training.Tests.RewardModeling;

public sealed class ContinuationPairsTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly TextTokenizer _tokenizer;

    public ContinuationPairsTests() => _tokenizer = ByteTokenizer.Write(_directory.PathOf("tokenizer"));

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void An_opening_is_as_few_whole_sentences_as_have_the_words_and_the_model_goes_on_from_it()
    {
        var model = new Continuer(_tokenizer, _ => " She ran away. The");
        var pair = Assert.Single(Maker(model, openingWords: 4).Make([Text("Lily sat. She said \"I see a cat!\" Then it rained. They were wet.")]));

        Assert.Equal(["Lily sat. She said \"I see a cat!\""], model.Openings);
        Assert.Equal(new ContinuationPair("Lily sat. She said \"I see a cat!\"", "Then it rained.", "She ran away."), pair);
    }

    [Fact]
    public void Both_sides_end_with_a_sentence_within_the_same_number_of_tokens()
    {
        // A token is a byte: the sample has 22, so that the second sentence that was written, which ends at 24, is left out.
        var longer = Maker(new Continuer(_tokenizer, _ => " Bo saw. Bo came. Bo w"), openingWords: 2);
        Assert.Equal(("He went up.", "Bo saw. Bo came."), Sides(Assert.Single(longer.Make([Text("One day. He went up. He fell out. The end.")]))));
        // And where less was written, the sample is cut.
        var shorter = Maker(new Continuer(_tokenizer, _ => " Bo saw. Bo came. Bo won."), openingWords: 2);
        Assert.Equal(("He went up.", "Bo saw."), Sides(Assert.Single(shorter.Make([Text("One day. He went up.")]))));
    }

    [Fact]
    public void What_gives_no_pair_is_counted()
    {
        var maker = Maker(new Continuer(_tokenizer, opening => opening == "No end here." ? " and then it" : " It was so."), openingWords: 3);

        Assert.Empty(maker.Make(
        [
            Text("no sentence ends in this text"), Text("Only one sentence."), Text("No end here. It was so."), Text("The same again. It was so."), Text($"A {new string('b', 300)} c. It was so."),
        ]));
        Assert.Equal(5, maker.Skipped);
    }

    [Fact]
    public void Every_batch_is_drawn_with_a_seed_of_its_own_and_the_same_seed_draws_the_same()
    {
        Document[] documents = [.. Enumerable.Range(0, 130).Select(i => Text($"This is story {i}. It is short."))];
        List<ulong?> Seeds(ulong seed)
        {
            var model = new Continuer(_tokenizer, _ => " It was long.");
            Assert.Equal(130, Maker(model, openingWords: 4, seed).Make(documents).Count());
            return model.Seeds;
        }

        Assert.Equal(3, Seeds(1).Distinct().Count());
        Assert.Equal(Seeds(1), Seeds(1));
        Assert.Empty(Seeds(1).Intersect(Seeds(2)));
    }

    private static (string, string) Sides(ContinuationPair pair) => (pair.Written, pair.Sampled);

    private static Document Text(string text) => new(text, default);

    private ContinuationPairs Maker(ILanguageScorer model, int openingWords, ulong seed = 1) => new(model, _tokenizer, [ByteTokenizer.EndOfText], new SamplingParameters(), openingWords, maxTokens: 64, seed);

    /// <summary>Goes on as a test decides.</summary>
    private sealed class Continuer(TextTokenizer tokenizer, Func<string, string> goOn) : ILanguageScorer
    {
        public List<string> Openings { get; } = [];
        public List<ulong?> Seeds { get; } = [];
        public int ContextLength => 256;

        public IReadOnlyList<ScoredContinuation> Score(IReadOnlyList<ScoringRequest> requests, CancellationToken cancellationToken = default) => throw new NotSupportedException();

        public IReadOnlyList<int[]> Generate(IReadOnlyList<int[]> prompts, int maxNewTokens, SamplingParameters sampling, IReadOnlyCollection<int> stopTokenIds, CancellationToken cancellationToken = default)
        {
            Seeds.Add(sampling.Seed);
            string[] openings = [.. prompts.Select(prompt => tokenizer.Decode(prompt))];
            Openings.AddRange(openings);
            return [.. openings.Select(opening => tokenizer.Encode(goOn(opening)))];
        }

        public void Dispose()
        {
        }
    }
}
