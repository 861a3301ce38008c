using k8s;
using k8s.Models;
using TrainServe.TestSupport;
using YamlDotNet.RepresentationModel;

namespace TrainServe.EndToEnd.Tests.Deployment;

/// <summary>The Kubernetes manifests, read by the API's own types: a field that does not exist is an error, not a comment.</summary>
public sealed class ManifestTests
{
    // Of extensions to Kubernetes, whose types are not in its client.
    private static readonly string[] OwnKinds = ["Kustomization", "InferencePool", "HTTPRoute", "MPIJob"];

    public static TheoryData<string> Manifests => [.. Files().Where(file => !OwnKinds.Contains(Kind(file))).Select(file => Path.GetRelativePath(RepositoryRoot.Directory, file))];

    [Theory, MemberData(nameof(Manifests))]
    public void A_manifest_holds_only_fields_that_Kubernetes_knows(string file)
    {
        var objects = KubernetesYaml.LoadAllFromString(File.ReadAllText(RepositoryRoot.PathOf(file)), typeMap: null, strict: true);
        Assert.NotEmpty(objects);
        Assert.All(objects, item => Assert.IsAssignableFrom<IKubernetesObject>(item));
    }

    [Fact]
    public void Every_file_that_is_there_is_used_by_a_kustomization()
    {
        foreach (string file in Files().Where(file => Path.GetFileName(file) != "kustomization.yaml"))
        {
            string kustomization = File.ReadAllText(Path.Combine(Path.GetDirectoryName(file)!, "kustomization.yaml"));
            Assert.Contains($" {Path.GetFileName(file)}\n", kustomization, StringComparison.Ordinal);
        }
    }

    public static TheoryData<string> Kustomizations => [.. Directory.EnumerateFiles(RepositoryRoot.PathOf("deploy/kubernetes"), "kustomization.yaml", SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(RepositoryRoot.Directory, Path.GetDirectoryName(file)!)).Order(StringComparer.Ordinal)];

    /// <summary>What kubectl makes of a directory: names that patches and image tags refer to exist, and the result is whole.</summary>
    [Theory, MemberData(nameof(Kustomizations))]
    public async Task A_kustomization_renders_to_what_Kubernetes_knows(string directory)
    {
        string? kubectl = Programs.Find("kubectl");
        Assert.SkipWhen(kubectl is null, "kubectl is not installed");
        var (code, output) = await Programs.RunAsync(kubectl, "kustomize", RepositoryRoot.PathOf(directory));
        Assert.True(code == 0, output);
        string[] documents = [.. output.Split("\n---\n").Where(document => !OwnKinds.Contains(KindOf(document.Split('\n'))))];
        var objects = documents.SelectMany(document => KubernetesYaml.LoadAllFromString(document, typeMap: null, strict: true)).Cast<IMetadata<V1ObjectMeta>>().ToList();
        Assert.All(objects.Where(item => item is not V1Namespace), item => Assert.Equal("trainserve", item.Metadata.NamespaceProperty));
        Assert.All(objects.OfType<V1Deployment>().SelectMany(item => item.Spec.Template.Spec.Containers), container => Assert.Matches(":[a-z0-9.]+$", container.Image));
        if (directory.EndsWith("gpu", StringComparison.Ordinal))
        {
            var pod = objects.OfType<V1Deployment>().Single().Spec.Template.Spec;
            Assert.Equal("true", pod.NodeSelector["nvidia.com/gpu.present"]);
            Assert.Equal("1", pod.Containers[0].Resources.Limits["nvidia.com/gpu"].ToString());
            Assert.Equal("trainserve-server:cuda", pod.Containers[0].Image);
            Assert.Equal("cuda", pod.Containers[0].Env.Single(variable => variable.Name == "TrainServe__Device").Value);
        }
    }

    [Fact]
    public void Pods_live_longer_than_the_servers_drain()
    {
        var pod = Load<V1Deployment>("deploy/kubernetes/base/server.yaml").Spec.Template.Spec;
        var settings = pod.Containers[0].Env.ToDictionary(variable => variable.Name, variable => variable.Value, StringComparer.Ordinal);
        int drain = int.Parse(settings["TrainServe__DrainDelaySeconds"]) + int.Parse(settings["TrainServe__DrainSeconds"]);
        Assert.True(pod.TerminationGracePeriodSeconds > drain + 5);
        // Compose: the same with what its server is given.
        var compose = Compose();
        int given = int.Parse(compose["environment"]["TrainServe__DrainSeconds"].ToString());
        Assert.True(int.Parse(compose["stop_grace_period"].ToString().TrimEnd('s')) > given + 5);
    }

    /// <summary>A pod that says nothing of the drain gets the server's default, and Kubernetes' own grace period would be too short for it.</summary>
    [Fact]
    public async Task A_server_that_is_told_nothing_drains_no_longer_than_the_manifests_allow()
    {
        using var models = new TemporaryDirectory();
        await using var server = await ServerProcess.StartListeningAsync(models.PathOf("none"));
        server.Terminate();
        await server.WaitForExitAsync();
        int seconds = int.Parse(System.Text.RegularExpressions.Regex.Match(server.Output, "no new requests in ([0-9]+) s, answers in flight have ([0-9]+) s").Groups[2].Value);
        var pod = Load<V1Deployment>("deploy/kubernetes/base/server.yaml").Spec.Template.Spec;
        Assert.True(pod.TerminationGracePeriodSeconds > seconds + 5);
        Assert.True(int.Parse(Compose()["stop_grace_period"].ToString().TrimEnd('s')) > seconds + 5);
    }

    [Fact]
    public void The_pools_endpoint_picker_is_there_and_the_pool_holds_the_servers()
    {
        var pool = Document("deploy/kubernetes/overlays/inference-extension/pool.yaml", "InferencePool")["spec"];
        var picker = Load<V1Service>("deploy/kubernetes/overlays/inference-extension/picker.yaml");
        Assert.Equal(picker.Metadata.Name, pool["endpointPickerRef"]["name"].ToString());
        Assert.Equal(picker.Spec.Ports[0].Port.ToString(), pool["endpointPickerRef"]["port"]["number"].ToString());
        var server = Load<V1Deployment>("deploy/kubernetes/base/server.yaml").Spec.Template;
        Assert.All((YamlMappingNode)pool["selector"]["matchLabels"], label => Assert.Equal(server.Metadata.Labels[label.Key.ToString()], label.Value.ToString()));
        Assert.Equal(server.Spec.Containers[0].Ports[0].ContainerPort.ToString(), pool["targetPorts"][0]["number"].ToString());
    }

    [Theory]
    [InlineData("Launcher")]
    [InlineData("Worker")]
    public void A_pod_of_the_multi_node_job_is_one_that_Kubernetes_knows_and_has_no_right_that_it_does_not_need(string role)
    {
        var template = Document("deploy/kubernetes/training/several-nodes/mpijob.yaml", "MPIJob")["spec"]["mpiReplicaSpecs"][role]["template"];
        var pod = KubernetesYaml.Deserialize<V1PodTemplateSpec>(Text(template), strict: true).Spec;
        AssertRestricted(pod);
        Assert.Equal("trainserve-trainer-mpi", pod.Containers[0].Image);
    }

    [Fact]
    public async Task The_server_takes_the_settings_of_its_pod()
    {
        var container = Load<V1Deployment>("deploy/kubernetes/base/server.yaml").Spec.Template.Spec.Containers[0];
        using var models = new TemporaryDirectory();
        ModelDirectory.Tiny(models.PathOf("tiny"), contextLength: 128);
        string[] settings = [.. container.Env.Where(variable => variable.Name != "TrainServe__Models").SelectMany(variable => new[] { "--" + variable.Name.Replace("__", ":", StringComparison.Ordinal), variable.Value })];
        await using var server = await ServerProcess.StartAsync(models.FullName, settings);
        foreach (var probe in new[] { container.StartupProbe, container.ReadinessProbe, container.LivenessProbe })
        {
            // Kubernetes calls a pod by its address.
            using var request = new HttpRequestMessage(HttpMethod.Get, probe.HttpGet.Path) { Headers = { Host = "10.0.0.7:8080" } };
            using var response = await server.Client.SendAsync(request);
            Assert.True(response.IsSuccessStatusCode);
        }
    }

    [Theory]
    [InlineData("deploy/kubernetes/base/server.yaml")]
    [InlineData("deploy/kubernetes/training/job.yaml")]
    [InlineData("deploy/kubernetes/overlays/inference-extension/picker.yaml")]
    public void Containers_get_no_right_that_they_do_not_need(string file)
    {
        AssertRestricted(Pod(KubernetesYaml.LoadAllFromString(File.ReadAllText(RepositoryRoot.PathOf(file)), typeMap: null, strict: true).Single(item => item is V1Deployment or V1Job)));
    }

    private static void AssertRestricted(V1PodSpec pod)
    {
        Assert.True(pod.SecurityContext.RunAsNonRoot);
        Assert.Equal("RuntimeDefault", pod.SecurityContext.SeccompProfile.Type);
        // Only who has a role of its own may talk to the API.
        Assert.Equal(pod.ServiceAccountName is null, pod.AutomountServiceAccountToken is false);
        var container = Assert.Single(pod.Containers);
        Assert.True(container.SecurityContext.ReadOnlyRootFilesystem);
        Assert.False(container.SecurityContext.AllowPrivilegeEscalation);
        Assert.Equal(["ALL"], container.SecurityContext.Capabilities.Drop);
        Assert.NotNull(container.Resources.Limits["memory"]);
    }

    private static V1PodSpec Pod(object item) => item switch
    {
        V1Deployment deployment => deployment.Spec.Template.Spec,
        V1Job job => job.Spec.Template.Spec,
        _ => throw new InvalidDataException($"{item.GetType().Name} has no pod."),
    };

    private static T Load<T>(string file) => KubernetesYaml.LoadAllFromString(File.ReadAllText(RepositoryRoot.PathOf(file)), typeMap: null, strict: true).OfType<T>().Single();

    private static string Kind(string file) => KindOf(File.ReadLines(file));

    private static string KindOf(IEnumerable<string> lines) => lines.First(line => line.StartsWith("kind: ", StringComparison.Ordinal))["kind: ".Length..];

    private static YamlNode Compose() => Documents("deploy/compose.yaml").Single()["services"]["server"];

    private static YamlNode Document(string file, string kind) => Documents(file).Single(document => document["kind"].ToString() == kind);

    private static IEnumerable<YamlNode> Documents(string file)
    {
        var stream = new YamlStream();
        using var reader = new StringReader(File.ReadAllText(RepositoryRoot.PathOf(file)));
        stream.Load(reader);
        return stream.Documents.Select(document => document.RootNode);
    }

    private static string Text(YamlNode node)
    {
        using var writer = new StringWriter();
        new YamlStream(new YamlDocument(node)).Save(writer, assignAnchors: false);
        return writer.ToString();
    }

    private static IEnumerable<string> Files() => Directory.EnumerateFiles(RepositoryRoot.PathOf("deploy/kubernetes"), "*.yaml", SearchOption.AllDirectories).Order(StringComparer.Ordinal);
}
