using Xunit;

namespace TrainServe.TestSupport;

public static class Eventually
{
    public static Task AssertAsync(Func<bool> holds) => AssertAsync(() => Task.FromResult(holds()));

    /// <summary>Waits up to ten seconds for something to hold.</summary>
    public static async Task AssertAsync(Func<Task<bool>> holds)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (!await holds())
        {
            Assert.False(limit.IsCancellationRequested, "It did not come to hold within ten seconds.");
            await Task.Delay(5, CancellationToken.None);
        }
    }
}
