using k8s;
using k8s.Models;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Deployment;

/// <summary>The Kubernetes manifests, read by the API's own types: a field that does not exist is an error, not a comment.</summary>
public sealed class ManifestTests
{
    private static readonly string[] OwnKinds = ["Kustomization", "InferencePool", "HTTPRoute"];

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
            Assert.Contains($"- {Path.GetFileName(file)}", kustomization, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Pods_live_longer_than_the_servers_drain()
    {
        var pod = Load<V1Deployment>("deploy/kubernetes/base/server.yaml").Spec.Template.Spec;
        var settings = pod.Containers[0].Env.ToDictionary(variable => variable.Name, variable => variable.Value, StringComparer.Ordinal);
        int drain = int.Parse(settings["TrainServe__DrainDelaySeconds"]) + int.Parse(settings["TrainServe__DrainSeconds"]);
        Assert.True(pod.TerminationGracePeriodSeconds > drain + 5);
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
    public void Containers_get_no_right_that_they_do_not_need(string file)
    {
        var pod = Pod(KubernetesYaml.LoadAllFromString(File.ReadAllText(RepositoryRoot.PathOf(file)), typeMap: null, strict: true)[0]);
        Assert.True(pod.SecurityContext.RunAsNonRoot);
        Assert.Equal("RuntimeDefault", pod.SecurityContext.SeccompProfile.Type);
        Assert.False(pod.AutomountServiceAccountToken);
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

    private static string Kind(string file) => File.ReadLines(file).First(line => line.StartsWith("kind: ", StringComparison.Ordinal))["kind: ".Length..];

    private static IEnumerable<string> Files() => Directory.EnumerateFiles(RepositoryRoot.PathOf("deploy/kubernetes"), "*.yaml", SearchOption.AllDirectories).Order(StringComparer.Ordinal);
}
