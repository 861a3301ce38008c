using System.IO.Compression;

namespace TrainServe.Core.Packaging;

/// <summary>Recognises Python pickles, which run code when they are read, and refuses them.</summary>
public static class PickleGuard
{
    /// <exception cref="InvalidDataException">The file is a pickle, or a PyTorch archive that holds one.</exception>
    public static void Refuse(string path)
    {
        if (LooksLikePickle(path))
        {
            throw new InvalidDataException($"{path} is a Python pickle, which can run code when it is read; convert it to safetensors first.");
        }
    }

    private static bool LooksLikePickle(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        Span<byte> magic = stackalloc byte[4];
        int read = stream.ReadAtLeast(magic, 4, throwOnEndOfStream: false);
        if (read >= 2 && magic[0] == 0x80 && magic[1] is >= 1 and <= 5 && !IsSafeTensorsLength(stream))
        {
            return true;
        }
        if (read == 4 && magic.SequenceEqual("PK\x3\x4"u8))
        {
            stream.Position = 0;
            try
            {
                using var archive = new ZipArchive(stream, ZipArchiveMode.Read, leaveOpen: true);
                return archive.Entries.Any(entry => entry.FullName.EndsWith("data.pkl", StringComparison.Ordinal));
            }
            catch (InvalidDataException)
            {
                return false;
            }
        }
        return false;
    }

    // A safetensors file whose header length happens to start with 0x80 has a '{' right after the length.
    private static bool IsSafeTensorsLength(FileStream stream)
    {
        stream.Position = 8;
        return stream.ReadByte() == '{';
    }
}
