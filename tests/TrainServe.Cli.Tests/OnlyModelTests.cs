using TrainServe.Cli.Generation;
using TrainServe.Core;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class OnlyModelTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task The_only_model_with_an_export_is_the_one_that_is_meant()
    {
        string models = _directory.PathOf("models");
        Directory.CreateDirectory(Path.Combine(models, "recipes"));
        string model = Make("one");
        Make("not-exported");
        Assert.Throws<RecipeException>(() => OnlyModel.Of(models));
        Assert.Equal(0, (await ConsoleHost.RunAsync("export", "--model", model)).ExitCode);

        Assert.Equal(model, OnlyModel.Of(models));

        string second = Make("two");
        Assert.Equal(0, (await ConsoleHost.RunAsync("export", "--model", second)).ExitCode);
        var error = Assert.Throws<RecipeException>(() => OnlyModel.Of(models));
        Assert.Contains(model, error.Message);
        Assert.Contains(second, error.Message);
    }

    [Fact]
    public void Where_there_are_no_models_the_user_is_told_to_name_one() =>
        Assert.Contains("--model DIR", Assert.Throws<RecipeException>(() => OnlyModel.Of(_directory.PathOf("nothing"))).Message);

    private string Make(string name) => TinyPackages.Write(_directory.PathOf($"models/{name}"), TinyModels.Config(TinyPackages.VocabSize, maxPositions: 128)).Directory;
}
