using System.Text.Json;
using TrainServe.Core.Packaging;
using TrainServe.Feedback;
using TrainServe.Inference.Execution;
using TrainServe.Server.Security;

namespace TrainServe.Server;

/// <summary>Settings of the server: section <c>TrainServe</c> of appsettings.json, variables <c>TrainServe__Name</c>, or <c>--name value</c>.</summary>
internal sealed record ServerOptions
{
    public const string Section = "TrainServe";

    /// <summary>A directory of model directories, or one model directory. Relative to the working directory.</summary>
    public string Models { get; init; } = "models";

    /// <summary>auto (on the processor int8 before fp32 before int4, of what is there; on a GPU fp16), fp32, fp16, int8 or int4.</summary>
    public string Precision { get; init; } = "auto";

    /// <summary>Exceptions for single models, each MODEL=PRECISION.</summary>
    public IReadOnlyList<string> ModelPrecisions { get; init; } = [];

    /// <summary>auto (a GPU where there is one that works and the model has an fp16 export, else the processor), cpu, cuda or cuda:N. A device that is named is not replaced by another.</summary>
    public string Device { get; init; } = InferenceDevice.Auto;

    /// <summary>Sequences that are computed together, for each model.</summary>
    public int Slots { get; init; } = 8;

    /// <summary>Further slots that keep what was computed for earlier prompts.</summary>
    public int PrefixSlots { get; init; } = 2;

    /// <summary>Tokens of prompt and answer together; 0 for what the model was trained for.</summary>
    public int ContextLength { get; init; }

    /// <summary>Prompt tokens that are computed in one step.</summary>
    public int PrefillChunk { get; init; } = 64;

    /// <summary>Tokens that are guessed ahead for an answer that is made alone; 0 guesses none, -1 decides: 4 where that changes no answer (an eight-bit cache) or a model is named in <see cref="DraftModels"/>.</summary>
    public int DraftTokens { get; init; } = -1;

    /// <summary>Smaller models, of the same directory and with the same tokenizer, that guess ahead for larger ones, as <c>large=small</c>.</summary>
    public IReadOnlyList<string> DraftModels { get; init; } = [];

    /// <summary>Threads for each model; 0 for one a core.</summary>
    public int Threads { get; init; }

    /// <summary>Sequences that may wait for a slot; more are refused with 503.</summary>
    public int MaxQueuedRequests { get; init; } = 256;

    /// <summary>Prompt tokens that may wait for a slot.</summary>
    public int MaxQueuedPromptTokens { get; init; } = 1 << 18;

    public int MaxBodyBytes { get; init; } = 4 << 20;
    public int MaxMessages { get; init; } = 2048;

    /// <summary>Names by which clients may address this server (the Host header, without port); <c>*</c> for any.</summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = ["localhost", "127.0.0.1", "[::1]"];

    /// <summary>Other names for models, as <c>gpt-4o=stories</c>.</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>Whether directories that are new or have a new manifest are loaded while the server runs.</summary>
    public bool WatchModels { get; init; }

    /// <summary>Web pages of these origins may call this server (CORS); <c>*</c> for any.</summary>
    public IReadOnlyList<string> CorsOrigins { get; init; } = [];

    /// <summary>Who may call; nobody is asked where there are none.</summary>
    public IReadOnlyList<ApiKey> Keys { get; init; } = [];

    /// <summary>Where the limits of keys are counted for several servers together, as <c>localhost:6379</c>; in this process when empty.</summary>
    public string Redis { get; init; } = "";

    /// <summary>Where answers of requests with <c>store</c> and the feedback on them are kept: <c>sqlite:PATH</c>, or <c>postgres:CONNECTION STRING</c> for several servers together; nowhere when empty.</summary>
    public string Feedback { get; init; } = "";

    /// <summary>Days that they are kept; 0 for ever.</summary>
    public int FeedbackDays { get; init; }

    /// <summary>A collector of OpenTelemetry that traces and metrics are sent to, as <c>http://localhost:4318</c>; nothing is sent when empty.</summary>
    public string OtlpEndpoint { get; init; } = "";

    /// <summary>Whether the log shows what was asked. It is no one's business by default.</summary>
    public bool LogPrompts { get; init; }

    /// <summary>How long a stream is silent before it sends a comment.</summary>
    public TimeSpan PingInterval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>After SIGTERM, how long the server is not ready but still accepts, so that a load balancer can notice.</summary>
    public TimeSpan DrainDelay { get; init; } = TimeSpan.Zero;

    /// <summary>After that, how long answers in flight may take.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>With work at hand and no token for this long the server reports that it is not alive.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How to run one model.</summary>
    public string PrecisionOf(string model) => ModelPrecisions.Select(pair => pair.Split('=')).LastOrDefault(pair => pair[0] == model)?[1] ?? Precision;

    /// <summary>The model that guesses ahead for another; null where none was named.</summary>
    public string? DraftModelOf(string model) => DraftModels.Select(pair => pair.Split('=')).LastOrDefault(pair => pair[0] == model)?[1];

    /// <exception cref="InvalidDataException">Settings are wrong; the message has a line for each.</exception>
    public static ServerOptions Read(IConfiguration configuration)
    {
        var settings = new SettingReader(configuration.GetSection(Section));
        var defaults = new ServerOptions();
        var options = new ServerOptions
        {
            Models = settings.Text(nameof(Models), defaults.Models),
            Precision = settings.OneOf(nameof(Precision), defaults.Precision, [.. PrecisionChoice.Names]),
            ModelPrecisions = settings.Pairs(nameof(ModelPrecisions), [.. PrecisionChoice.Names]),
            Device = settings.Text(nameof(Device), defaults.Device),
            Slots = settings.Whole(nameof(Slots), defaults.Slots, 1, 1024),
            PrefixSlots = settings.Whole(nameof(PrefixSlots), defaults.PrefixSlots, 0, 1024),
            ContextLength = settings.Whole(nameof(ContextLength), defaults.ContextLength, 0, 1 << 24),
            PrefillChunk = settings.Whole(nameof(PrefillChunk), defaults.PrefillChunk, 2, 1 << 16),
            DraftTokens = settings.Whole(nameof(DraftTokens), defaults.DraftTokens, -1, 64),
            DraftModels = settings.Pairs(nameof(DraftModels)),
            Threads = settings.Whole(nameof(Threads), defaults.Threads, 0, 1024),
            MaxQueuedRequests = settings.Whole(nameof(MaxQueuedRequests), defaults.MaxQueuedRequests, 1, 1 << 20),
            MaxQueuedPromptTokens = settings.Whole(nameof(MaxQueuedPromptTokens), defaults.MaxQueuedPromptTokens, 1, 1 << 30),
            MaxBodyBytes = settings.Whole(nameof(MaxBodyBytes), defaults.MaxBodyBytes, 1024, 1 << 30),
            MaxMessages = settings.Whole(nameof(MaxMessages), defaults.MaxMessages, 1, 1 << 20),
            AllowedHosts = settings.Texts(nameof(AllowedHosts), defaults.AllowedHosts),
            Aliases = settings.Pairs(nameof(Aliases)),
            WatchModels = settings.Flag(nameof(WatchModels), defaults.WatchModels),
            CorsOrigins = settings.Texts(nameof(CorsOrigins), defaults.CorsOrigins),
            Keys = settings.Each(nameof(Keys), ApiKey.Read),
            Redis = settings.Text(nameof(Redis), defaults.Redis),
            Feedback = settings.Text(nameof(Feedback), defaults.Feedback),
            FeedbackDays = settings.Whole(nameof(FeedbackDays), defaults.FeedbackDays, 0, 36500),
            OtlpEndpoint = settings.Text(nameof(OtlpEndpoint), defaults.OtlpEndpoint),
            LogPrompts = settings.Flag(nameof(LogPrompts), defaults.LogPrompts),
            PingInterval = settings.Seconds("PingSeconds", defaults.PingInterval, 0.1, 3600),
            DrainDelay = settings.Seconds("DrainDelaySeconds", defaults.DrainDelay, 0, 3600),
            DrainTimeout = settings.Seconds("DrainSeconds", defaults.DrainTimeout, 0, 86400),
            StallTimeout = settings.Seconds("StallSeconds", defaults.StallTimeout, 1, 86400),
        };
        try
        {
            InferenceDevice.Parse(options.Device);
        }
        catch (ArgumentException)
        {
            settings.Wrong(nameof(Device), "it must be auto, cpu, cuda or cuda:N");
        }
        if (options.OtlpEndpoint.Length > 0 && !(Uri.TryCreate(options.OtlpEndpoint, UriKind.Absolute, out var otlp) && otlp.Scheme is "http" or "https"))
        {
            settings.Wrong(nameof(OtlpEndpoint), "it must be an http or https URL");
        }
        if (options.Feedback.Length > 0 && FeedbackLocation.TryParse(options.Feedback, out string? fault) is null)
        {
            settings.Wrong(nameof(Feedback), fault!, show: false);
        }
        if (options is { FeedbackDays: > 0, Feedback.Length: 0 })
        {
            settings.Wrong(nameof(FeedbackDays), "without the option Feedback nothing is kept that could be removed");
        }
        foreach (var twice in options.Keys.GroupBy(key => key.Name, StringComparer.Ordinal).Where(group => group.Count() > 1))
        {
            settings.Wrong(nameof(Keys), $"the name '{twice.Key}' is there more than once", show: false);
        }
        settings.ThrowIfWrong();
        return options;
    }

    /// <summary>The command line's short names: <c>--max-body-bytes</c> is <c>TrainServe:MaxBodyBytes</c>.</summary>
    public static IDictionary<string, string> Switches { get; } = new[]
    {
        nameof(Models), nameof(Precision), nameof(ModelPrecisions), nameof(Device), nameof(Slots), nameof(PrefixSlots), nameof(ContextLength), nameof(PrefillChunk), nameof(DraftTokens), nameof(DraftModels), nameof(Threads), nameof(MaxQueuedRequests),
        nameof(MaxQueuedPromptTokens), nameof(MaxBodyBytes), nameof(MaxMessages), nameof(AllowedHosts), nameof(Aliases), nameof(WatchModels), nameof(CorsOrigins), nameof(Redis), nameof(Feedback), nameof(FeedbackDays), nameof(OtlpEndpoint), nameof(LogPrompts),
        "PingSeconds", "DrainDelaySeconds", "DrainSeconds", "StallSeconds",
    }.ToDictionary(name => "--" + JsonNamingPolicy.KebabCaseLower.ConvertName(name), name => $"{Section}:{name}", StringComparer.OrdinalIgnoreCase);
}
