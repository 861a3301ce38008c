using System.CommandLine;
using TrainServe.Core.Packaging;

namespace TrainServe.Cli.Generation;

/// <summary>Opens an export that is proven, as the server does; or, when the user says so, one that is not.</summary>
internal static class CertifiedModel
{
    public const string Precision = "fp32";

    public static Option<bool> WithoutCertificate() => new("--without-certificate") { Description = "Run an export whose certificate is missing or does not hold." };

    /// <exception cref="InvalidDataException">A file was changed, or the export has no certificate that holds.</exception>
    public static ModelPackage Open(string directory, bool withoutCertificate)
    {
        var package = ModelPackage.OpenVerified(directory);
        if (!withoutCertificate)
        {
            package.RequireCertificate(Precision);
        }
        return package;
    }
}
