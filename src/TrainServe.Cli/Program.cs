using System.CommandLine;
using System.Globalization;
using TrainServe.Cli;
using TrainServe.Cli.Commands;

// Numbers are written the same everywhere, whatever the user's language.
CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;

var root = new RootCommand("Trains, aligns, exports, proves and serves language models.")
{
    QuickstartCommand.Create(),
    ImportCommand.Create(),
    InitCommand.Create(),
    TokenizerTrainCommand.Create(),
    new Command("data", "Makes training data.") { DataDownloadCommand.Create(), DataCleanCommand.Create(), DataPackCommand.Create(), DataGenerateCommand.Create(), DataExcludeCommand.Create(), DataFoldsCommand.Create(), DataFeedbackCommand.Create() },
    PretrainCommand.Create(),
    SftCommand.Create(),
    MergeCommand.Create(),
    RewardCommand.Create(),
    DpoCommand.Create(),
    PpoCommand.Create(),
    GrpoCommand.Create(),
    BestOfCommand.Create(),
    ConstitutionCommand.Create(),
    EvaluateCommand.Create(),
    SelfTestCommand.Create(),
    ExportCommand.Create(),
    GenerateCommand.Create(),
    ChatCommand.Create(),
    InspectCommand.Create(),
    BenchCommand.Create(),
    ScalingCommand.Create(),
};
return await ExitCodes.RunAsync(root, args);
