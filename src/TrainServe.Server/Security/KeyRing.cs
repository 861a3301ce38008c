using System.Security.Cryptography;

namespace TrainServe.Server.Security;

/// <summary>The keys that are known.</summary>
internal sealed class KeyRing(ServerOptions options)
{
    private readonly IReadOnlyList<ApiKey> _keys = options.Keys;

    /// <summary>Without any key the server is open to whoever reaches it, but for the admin routes, which stay shut.</summary>
    public bool IsEmpty => _keys.Count == 0;

    /// <summary>The key that was presented; null when it is none of ours. Takes the same time whatever is presented.</summary>
    public ApiKey? Find(string presented)
    {
        byte[] hash = ApiKey.Hash(presented);
        ApiKey? found = null;
        foreach (var key in _keys)
        {
            if (CryptographicOperations.FixedTimeEquals(key.Sha256, hash))
            {
                found = key;
            }
        }
        return found;
    }
}
