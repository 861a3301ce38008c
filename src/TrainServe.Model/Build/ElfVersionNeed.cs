using System;
using System.IO;
using System.Text;

namespace TrainServe.Model.Build
{
    /// <summary>Marks one symbol version that a 64-bit ELF library asks for as weak, so that the library loads where that version is unknown.</summary>
    /// <remarks>
    /// The loader refuses a library when one of the versions in its section .gnu.version_r is missing from the library that should have it, unless the
    /// entry's flag VER_FLG_WEAK is set. That is safe only if nothing ever looks a symbol of this version up, so a relocation that does is refused.
    /// Layouts: System V gABI, "Sections" and "Relocation"; Linux Standard Base, "Symbol Versioning". Little-endian, Elf64.
    /// Compiled by MSBuild for netstandard2.0, and again into the tests.
    /// </remarks>
    public static class ElfVersionNeed
    {
        private const int WeakFlag = 2;
        private const uint RelocationsWithAddend = 4, Relocations = 9, DynamicSymbols = 11, VersionNeeds = 0x6ffffffe, SymbolVersions = 0x6fffffff;

        /// <param name="library">The file's content; changed in place, by one bit.</param>
        /// <param name="version">As in the library's string table: GLIBCXX_3.4.32.</param>
        /// <returns>Whether a bit was set. False when the file is no such ELF library, or does not ask for the version, or asks for it weakly already.</returns>
        /// <exception cref="InvalidDataException">A relocation uses a symbol of the version, so that the library cannot do without it; or the file is cut short.</exception>
        public static bool Weaken(byte[] library, string version)
        {
            if (library.Length < 64 || BitConverter.ToUInt32(library, 0) != 0x464c457f || library[4] != 2 || library[5] != 1)
            {
                return false;
            }
            try
            {
                return WeakenIn(library, version);
            }
            catch (ArgumentException error)
            {
                throw new InvalidDataException("The ELF file is cut short or its sections point outside of it.", error);
            }
            catch (IndexOutOfRangeException error)
            {
                throw new InvalidDataException("The ELF file is cut short or its sections point outside of it.", error);
            }
        }

        private static bool WeakenIn(byte[] library, string version)
        {
            var sections = ReadSections(library);
            var needs = Array.Find(sections, section => section.Type == VersionNeeds);
            if (needs == null || !Find(library, needs, sections[needs.Link], version, out int flagsAt, out int index))
            {
                return false;
            }
            if ((library[flagsAt] & WeakFlag) != 0)
            {
                return false;
            }
            RequireUnused(library, sections, index, version);
            library[flagsAt] |= WeakFlag;
            return true;
        }

        // Verneed: cnt at 2, aux at 8, next at 12. Vernaux: flags at 4, other (the version's index) at 6, name at 8, next at 12; offsets are from the entry.
        private static bool Find(byte[] library, Section needs, Section names, string version, out int flagsAt, out int index)
        {
            int file = needs.Offset;
            for (int files = needs.Info; files > 0; files--)
            {
                int entry = file + Int32(library, file + 8);
                for (int entries = UInt16(library, file + 2); entries > 0; entries--)
                {
                    if (NameAt(library, names.Offset + Int32(library, entry + 8)) == version)
                    {
                        flagsAt = entry + 4;
                        index = UInt16(library, entry + 6);
                        return true;
                    }
                    entry += Int32(library, entry + 12);
                }
                file += Int32(library, file + 12);
            }
            flagsAt = index = 0;
            return false;
        }

        private static void RequireUnused(byte[] library, Section[] sections, int index, string version)
        {
            var versions = Array.Find(sections, section => section.Type == SymbolVersions);
            foreach (var section in sections)
            {
                bool relocations = section.Type == RelocationsWithAddend || section.Type == Relocations;
                if (!relocations || sections[section.Link].Type != DynamicSymbols || versions == null)
                {
                    continue;
                }
                int size = section.Type == RelocationsWithAddend ? 24 : 16;
                for (int at = section.Offset; at + size <= section.Offset + section.Size; at += size)
                {
                    int symbol = Int32(library, at + 12);
                    if (symbol != 0 && (UInt16(library, versions.Offset + 2 * symbol) & 0x7fff) == index)
                    {
                        throw new InvalidDataException("A relocation uses symbol " + symbol + ", which has version " + version + "; the library needs it.");
                    }
                }
            }
        }

        private static Section[] ReadSections(byte[] library)
        {
            int table = checked((int)BitConverter.ToInt64(library, 0x28)), size = UInt16(library, 0x3a);
            var sections = new Section[UInt16(library, 0x3c)];
            for (int i = 0; i < sections.Length; i++)
            {
                int at = table + i * size;
                sections[i] = new Section
                {
                    Type = BitConverter.ToUInt32(library, at + 4),
                    Offset = checked((int)BitConverter.ToInt64(library, at + 24)),
                    Size = checked((int)BitConverter.ToInt64(library, at + 32)),
                    Link = Int32(library, at + 40),
                    Info = Int32(library, at + 44),
                };
            }
            return sections;
        }

        private static int UInt16(byte[] library, int at)
        {
            return BitConverter.ToUInt16(library, at);
        }

        private static int Int32(byte[] library, int at)
        {
            return BitConverter.ToInt32(library, at);
        }

        private static string NameAt(byte[] library, int at)
        {
            return Encoding.ASCII.GetString(library, at, Array.IndexOf(library, (byte)0, at) - at);
        }

        private sealed class Section
        {
            public uint Type;
            public int Offset, Size, Link, Info;
        }
    }

#if !TRAINSERVE_TESTS
    /// <summary>The MSBuild task: copies a library, with one version that it asks for made weak.</summary>
    public sealed class WeakenVersionNeed : Microsoft.Build.Utilities.Task
    {
        [Microsoft.Build.Framework.Required]
        public string Source { get; set; }

        [Microsoft.Build.Framework.Required]
        public string Destination { get; set; }

        [Microsoft.Build.Framework.Required]
        public string Version { get; set; }

        public override bool Execute()
        {
            try
            {
                byte[] library = File.ReadAllBytes(Source);
                ElfVersionNeed.Weaken(library, Version);
                Directory.CreateDirectory(Path.GetDirectoryName(Destination));
                // A new file: the old one may be linked into an output where a process runs it.
                File.Delete(Destination);
                File.WriteAllBytes(Destination, library);
                return true;
            }
            catch (Exception error) when (error is IOException || error is InvalidDataException || error is UnauthorizedAccessException)
            {
                Log.LogError("{0} cannot be made loadable where {1} is unknown: {2}", Source, Version, error.Message);
                return false;
            }
        }
    }
#endif
}
