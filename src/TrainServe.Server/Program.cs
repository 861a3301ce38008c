using TrainServe.Server;
using TrainServe.Server.Documentation;
using TrainServe.Server.Lifecycle;
using TrainServe.Server.Security;

try
{
    if (args is [HealthCheck.Verb, .. var options])
    {
        return await HealthCheck.RunAsync(options, Console.Out);
    }
    if (args is [NewKey.Verb, .. var name])
    {
        return NewKey.Run(name, Console.Out);
    }
    if (args is [ParameterMarkdown.Verb])
    {
        Console.Out.Write(ParameterMarkdown.Text);
        return 0;
    }
    await using var app = ServerHost.Build(args);
    await app.RunAsync();
    return 0;
}
catch (Exception exception) when (exception is InvalidDataException or IOException or FormatException)
{
    // Wrong settings, or an address that is taken: the operator needs the sentence, not the stack.
    foreach (string line in exception.Message.Split(Environment.NewLine))
    {
        Console.Error.WriteLine($"error: {line}");
    }
    return 1;
}
