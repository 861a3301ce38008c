using TrainServe.Training.Alignment;

namespace TrainServe.Training.Tests.Alignment;

public sealed class ExampleOrderTests
{
    [Fact]
    public void An_epoch_has_every_example_once_and_the_next_one_has_another_order()
    {
        var order = new ExampleOrder([40, 10], null, seed: 1);
        var first = Enumerable.Range(0, 50).Select(place => order[place]).ToList();
        Assert.Equal(Enumerable.Range(0, 40).Select(i => (0, i)).Concat(Enumerable.Range(0, 10).Select(i => (1, i))), first.Order());
        Assert.NotEqual(first, Enumerable.Range(50, 50).Select(place => order[place]));
    }

    [Fact]
    public void A_place_says_all_whatever_was_asked_before()
    {
        var order = new ExampleOrder([40, 10], [1, 1], seed: 1);
        var all = Enumerable.Range(0, 100).Select(place => order[place]).ToList();
        Assert.Equal(all[73], new ExampleOrder([40, 10], [1, 1], seed: 1)[73]);
        // Equal weights: half of the examples are of either source.
        Assert.Equal(50, all.Count(place => place.Source == 0));
    }
}
