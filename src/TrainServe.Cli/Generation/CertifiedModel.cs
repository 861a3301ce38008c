using System.CommandLine;
using TrainServe.Core.Packaging;

namespace TrainServe.Cli.Generation;

/// <summary>Opens an export that is proven, as the server does; or, when the user says so, one that is not.</summary>
internal static class CertifiedModel
{
    public static Option<bool> WithoutCertificate() => new("--without-certificate") { Description = "Run an export whose certificate is missing or does not hold." };

    /// <returns>The model, and which of its exports to run.</returns>
    /// <exception cref="InvalidDataException">A file was changed, or the export has no certificate that holds.</exception>
    public static (ModelPackage Package, string Precision) Open(string directory, string wanted, bool withoutCertificate)
    {
        var package = ModelPackage.OpenVerified(directory);
        string precision = withoutCertificate && wanted == PrecisionChoice.Auto && !package.Precisions.Any() ? "fp32" : PrecisionChoice.Of(package, wanted);
        if (!withoutCertificate)
        {
            package.RequireCertificate(precision);
        }
        return (package, precision);
    }
}
