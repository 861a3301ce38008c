// A software bill of materials (CycloneDX 1.6, JSON) of a published program, from what .NET itself loads it by:
//   dotnet run deploy/sbom.cs -- PROGRAM.deps.json VERSION OUTPUT.json
// Packages with their SHA-512 come from deps.json, licences from the package folder of this machine. Nothing in it depends on the time.
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Xml.Linq;

if (args.Length != 3)
{
    Console.Error.WriteLine("usage: sbom.cs PROGRAM.deps.json VERSION OUTPUT.json");
    return 2;
}
var deps = JsonNode.Parse(File.ReadAllText(args[0]))!;
string program = Path.GetFileName(args[0])[..^".deps.json".Length];
string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
var libraries = deps["libraries"]!.AsObject().OrderBy(library => library.Key, StringComparer.Ordinal).ToList();
var target = deps["targets"]![deps["runtimeTarget"]!["name"]!.GetValue<string>()]!.AsObject();
var bill = new JsonObject
{
    ["bomFormat"] = "CycloneDX",
    ["specVersion"] = "1.6",
    ["version"] = 1,
    ["metadata"] = new JsonObject
    {
        ["component"] = new JsonObject { ["type"] = "application", ["bom-ref"] = Reference(libraries.Single(library => library.Key.StartsWith(program + "/", StringComparison.Ordinal)).Key), ["name"] = program, ["version"] = args[1] },
    },
    ["components"] = new JsonArray([.. libraries.Where(library => !library.Key.StartsWith(program + "/", StringComparison.Ordinal)).Select(library => Component(library.Key, library.Value!))]),
    ["dependencies"] = new JsonArray([.. libraries.Select(library => Dependencies(library.Key))]),
};
File.WriteAllText(args[2], bill.ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
return 0;

JsonObject Component(string key, JsonNode library)
{
    var (name, version) = Split(key);
    bool own = library["type"]!.GetValue<string>() == "project";
    var component = new JsonObject { ["type"] = "library", ["bom-ref"] = Reference(key), ["name"] = name, ["version"] = own ? args[1] : version };
    if (own)
    {
        return component;
    }
    component["purl"] = Reference(key);
    // "sha512-" and base64; a part of .NET's own runtime has none.
    if (library["sha512"]?.GetValue<string>() is { Length: > 7 } sha512)
    {
        component["hashes"] = new JsonArray(new JsonObject { ["alg"] = "SHA-512", ["content"] = Convert.ToHexStringLower(Convert.FromBase64String(sha512["sha512-".Length..])) });
    }
    if (Licence(name, version) is { } licence)
    {
        component["licenses"] = new JsonArray(licence);
    }
    return component;
}

JsonObject Dependencies(string key) => new()
{
    ["ref"] = Reference(key),
    ["dependsOn"] = new JsonArray([.. (target[key]?["dependencies"]?.AsObject() ?? [])
        .Select(dependency => $"{dependency.Key}/{dependency.Value}")
        .Where(dependency => libraries.Any(library => library.Key == dependency))
        .Select(dependency => JsonValue.Create(Reference(dependency)))]),
};

JsonObject? Licence(string name, string version)
{
    string id = name.ToLowerInvariant();
    string description = Path.Combine(packages, id, version.ToLowerInvariant(), id + ".nuspec");
    if (!File.Exists(description))
    {
        return null;
    }
    var licence = XDocument.Load(description).Descendants().FirstOrDefault(element => element.Name.LocalName == "license");
    return licence?.Attribute("type")?.Value switch
    {
        "expression" => new JsonObject { ["expression"] = licence.Value },
        "file" => new JsonObject { ["license"] = new JsonObject { ["name"] = $"{licence.Value} in the package" } },
        _ => null,
    };
}

string Reference(string key)
{
    var (name, version) = Split(key);
    return $"pkg:nuget/{name}@{version}";
}

static (string Name, string Version) Split(string key)
{
    // A runtime pack is listed under its kind: "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64".
    string[] parts = key.Split('/');
    return (parts[0].StartsWith("runtimepack.", StringComparison.Ordinal) ? parts[0]["runtimepack.".Length..] : parts[0], parts[1]);
}
