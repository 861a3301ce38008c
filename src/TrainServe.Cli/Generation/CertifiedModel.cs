using System.CommandLine;
using TrainServe.Core.Packaging;
using TrainServe.Inference.Execution;

namespace TrainServe.Cli.Generation;

/// <summary>Opens an export that is proven, as the server does; or, when the user says so, one that is not.</summary>
internal static class CertifiedModel
{
    public static Option<bool> WithoutCertificate() => new("--without-certificate") { Description = "Run an export whose certificate is missing or does not hold." };

    /// <returns>The model, and which of its exports to run where.</returns>
    /// <exception cref="ArgumentException">There is no such kind of device.</exception>
    /// <exception cref="InvalidDataException">A file was changed, the export has no certificate that holds, or the device cannot be used.</exception>
    public static (ModelPackage Package, ExecutionChoice Choice) Open(string directory, string precision, string device, bool withoutCertificate)
    {
        var package = ModelPackage.OpenVerified(directory);
        string wanted = withoutCertificate && precision == PrecisionChoice.Auto && !package.Precisions.Any() ? "fp32" : precision;
        var choice = ExecutionChoice.Of(package, wanted, device);
        if (choice.Note is { } note)
        {
            Console.Error.WriteLine($"No GPU is used: {note}.");
        }
        if (!withoutCertificate)
        {
            package.RequireCertificate(choice.Precision);
        }
        return (package, choice);
    }
}
