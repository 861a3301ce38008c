using System.Security.Cryptography;
using System.Text;

namespace TrainServe.Server.Security;

/// <summary>What the bearer of a key may do.</summary>
[Flags]
internal enum KeyScopes
{
    None = 0,

    /// <summary>Everything but the routes below <c>/admin</c>.</summary>
    Chat = 1,

    /// <summary>The routes below <c>/admin</c>.</summary>
    Admin = 2,
}

/// <summary>A key that callers present. Only its hash is known here.</summary>
/// <param name="Name">For logs, limits and people; no secret.</param>
/// <param name="Sha256">Of the key's UTF-8 bytes.</param>
/// <param name="RequestsPerMinute">Null for no limit.</param>
/// <param name="TokensPerMinute">Prompt and answer together; null for no limit.</param>
internal sealed record ApiKey(string Name, byte[] Sha256, KeyScopes Scopes, int? RequestsPerMinute = null, int? TokensPerMinute = null)
{
    private const string Prefix = "ts-";

    public static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));

    /// <summary>A new key of 256 random bits.</summary>
    public static string Generate() => Prefix + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));

    /// <summary>Reads an entry of <c>TrainServe:Keys</c>.</summary>
    public static ApiKey Read(SettingReader settings)
    {
        string name = settings.Text(nameof(Name), "");
        if (name.Length is 0 or > 64 || !name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.'))
        {
            settings.Wrong(nameof(Name), "it must be 1 to 64 letters, digits, '-', '_' and '.'");
        }
        string hash = settings.Text(nameof(Sha256), "");
        if (hash.Length != 64 || !hash.All(char.IsAsciiHexDigit))
        {
            settings.Wrong(nameof(Sha256), "it must be the SHA-256 of a key in 64 hexadecimal digits; make a key with: trainserve-server new-key NAME", show: false);
            hash = new string('0', 64);
        }
        var scopes = KeyScopes.None;
        foreach (string scope in settings.Texts(nameof(Scopes), ["chat"]))
        {
            if (Enum.TryParse<KeyScopes>(scope, ignoreCase: true, out var parsed) && parsed is KeyScopes.Chat or KeyScopes.Admin)
            {
                scopes |= parsed;
            }
            else
            {
                settings.Wrong(nameof(Scopes), "they must be of chat and admin");
            }
        }
        return new ApiKey(name, Convert.FromHexString(hash), scopes,
            settings.WholeOrNull(nameof(RequestsPerMinute), 1, int.MaxValue), settings.WholeOrNull(nameof(TokensPerMinute), 1, int.MaxValue));
    }
}
