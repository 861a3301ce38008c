using TrainServe.Core.Packaging;

namespace TrainServe.Training.Data;

/// <summary>A directory of packed tokens, opened and checked.</summary>
public sealed class PackedDataSet : IDisposable
{
    private PackedDataSet(string directory, PackedDataManifest manifest, TokenStream train, TokenStream validation) =>
        (Directory, Manifest, Train, Validation) = (directory, manifest, train, validation);

    public string Directory { get; }
    public PackedDataManifest Manifest { get; }
    public TokenStream Train { get; }
    public TokenStream Validation { get; }

    public static bool IsOne(string directory) => File.Exists(Path.Combine(directory, PackedDataManifest.FileName));

    /// <summary>Opens every shard and checks it against the manifest, hash included.</summary>
    /// <param name="directory">What <see cref="DataPacker"/> wrote.</param>
    /// <param name="tokenizerSha256">The tokenizer that training uses.</param>
    /// <exception cref="FileNotFoundException">There is no manifest, or a shard is missing.</exception>
    /// <exception cref="InvalidDataException">A shard is damaged, or made with another tokenizer; the message names it.</exception>
    public static PackedDataSet Open(string directory, string tokenizerSha256)
    {
        var manifest = PackedDataManifest.Read(directory);
        if (manifest.TokenizerSha256 != tokenizerSha256)
        {
            throw new InvalidDataException($"{directory} was packed with another tokenizer: its hash is {manifest.TokenizerSha256}, this run's tokenizer has {tokenizerSha256}. Pack it again with this run's tokenizer.");
        }
        var opened = new List<TokenShard>();
        try
        {
            var train = OpenSplit(directory, manifest, manifest.Train, opened);
            var validation = OpenSplit(directory, manifest, manifest.Validation, opened);
            return new PackedDataSet(directory, manifest, train, validation);
        }
        catch
        {
            opened.ForEach(shard => shard.Dispose());
            throw;
        }
    }

    public void Dispose()
    {
        Train.Dispose();
        Validation.Dispose();
    }

    private static TokenStream OpenSplit(string directory, PackedDataManifest manifest, DataSplit split, List<TokenShard> opened)
    {
        var shards = new List<TokenShard>();
        foreach (var entry in split.Shards)
        {
            string path = Path.Combine(directory, entry.Path);
            if (Path.GetFileName(entry.Path) != entry.Path)
            {
                throw new InvalidDataException($"{Path.Combine(directory, PackedDataManifest.FileName)} names {entry.Path}, which is not a file beside it.");
            }
            var shard = TokenShard.Open(path);
            opened.Add(shard);
            shards.Add(shard);
            if (shard.Header.TokenizerSha256 != manifest.TokenizerSha256)
            {
                throw new InvalidDataException($"{path} was made with another tokenizer than {PackedDataManifest.FileName} says: {shard.Header.TokenizerSha256}.");
            }
            if (shard.Header.Tokens != entry.Tokens || shard.Header.Documents != entry.Documents || FileHash.OfFile(path) != entry.Sha256)
            {
                throw new InvalidDataException($"{path} was changed: it is not the file whose SHA-256 is in {PackedDataManifest.FileName}.");
            }
        }
        return new TokenStream(shards);
    }
}
