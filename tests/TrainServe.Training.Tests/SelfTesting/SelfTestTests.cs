using TrainServe.TestSupport;
using TrainServe.Training.SelfTesting;

namespace TrainServe.Training.Tests.SelfTesting;

[Collection(TorchFixture.Generator)]
public sealed class SelfTestTests
{
    [Fact]
    public void Every_check_holds_here()
    {
        using var directory = new TemporaryDirectory();
        var results = new SelfTest(directory.FullName, TimeProvider.System).Run().ToList();
        Assert.True(results.Count > 8);
        Assert.All(results, result => Assert.Null(result.Failure));
    }
}
