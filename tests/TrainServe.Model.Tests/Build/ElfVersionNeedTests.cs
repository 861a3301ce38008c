using System.Buffers.Binary;
using System.Reflection;
using TrainServe.Model.Build;

namespace TrainServe.Model.Tests.Build;

public sealed class ElfVersionNeedTests
{
    private const string Version = "GLIBCXX_3.4.32";

    [Fact]
    public void The_built_library_differs_from_the_package_in_one_bit()
    {
        var packaged = File.ReadAllBytes(PackagedLibrary());
        var built = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so"));
        Assert.Equal(packaged.Length, built.Length);
        int at = Assert.Single(Enumerable.Range(0, built.Length), i => built[i] != packaged[i]);
        Assert.Equal(2, packaged[at] ^ built[at]);
        Assert.Equal(2, built[at] & 2);
    }

    [Fact]
    public void A_library_without_the_version_is_left_alone()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "ELF libraries are what Linux loads.");
        var library = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "libc10.so"));
        var copy = library.ToArray();
        Assert.False(ElfVersionNeed.Weaken(copy, Version));
        Assert.Equal(library, copy);
    }

    [Fact]
    public void What_is_weak_already_is_left_alone()
    {
        var library = File.ReadAllBytes(PackagedLibrary());
        Assert.True(ElfVersionNeed.Weaken(library, Version));
        var once = library.ToArray();
        Assert.False(ElfVersionNeed.Weaken(library, Version));
        Assert.Equal(once, library);
    }

    [Fact]
    public void A_version_that_a_relocation_uses_is_refused()
    {
        var library = File.ReadAllBytes(PackagedLibrary());
        var untouched = library.ToArray();
        // The C++ library's base version: operator new and delete, which everything calls.
        var error = Assert.Throws<InvalidDataException>(() => ElfVersionNeed.Weaken(library, "GLIBCXX_3.4"));
        Assert.Contains("GLIBCXX_3.4;", error.Message, StringComparison.Ordinal);
        Assert.Equal(untouched, library);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    [InlineData(4096)]
    public void What_is_no_elf_library_is_left_alone(int length) =>
        Assert.False(ElfVersionNeed.Weaken(new byte[length], Version));

    [Fact]
    public void A_library_that_is_cut_short_is_named_so()
    {
        var library = File.ReadAllBytes(PackagedLibrary())[..4096];
        Assert.Throws<InvalidDataException>(() => ElfVersionNeed.Weaken(library, Version));
    }

    [Fact]
    public void Sections_that_point_outside_are_named_so()
    {
        var library = File.ReadAllBytes(PackagedLibrary());
        BinaryPrimitives.WriteInt64LittleEndian(library.AsSpan(0x28), library.Length - 8);
        Assert.Throws<InvalidDataException>(() => ElfVersionNeed.Weaken(library, Version));
    }

    private static string PackagedLibrary()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "ELF libraries are what Linux loads.");
        string package = Assembly.GetExecutingAssembly().GetCustomAttributes<AssemblyMetadataAttribute>().Single(data => data.Key == "TorchSharpPackage").Value!;
        return Path.Combine(package, "runtimes", "linux-x64", "native", "libLibTorchSharp.so");
    }
}
