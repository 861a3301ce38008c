using System.CommandLine;
using TrainServe.Cli.Generation;
using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Core.Tokenization;
using TrainServe.Inference;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve chat</c>: a conversation in the terminal, with the engine that the server uses.</summary>
public static class ChatCommand
{
    public static Command Create()
    {
        var model = new Option<string?>("--model") { Description = "A model directory with an export. Without it, the only one in models." };
        var system = new Option<string?>("--system") { Description = "What the assistant is told before the conversation." };
        var temperature = new Option<float>("--temperature") { Description = "0 takes the most likely token.", DefaultValueFactory = _ => 0.7f };
        var maxTokens = new Option<int>("--max-tokens") { Description = "Most tokens of one answer.", DefaultValueFactory = _ => 256 };
        var seed = new Option<ulong?>("--seed") { Description = "Makes answers reproducible." };
        var precision = PrecisionOption.Create();
        var device = PrecisionOption.CreateDevice();
        var uncertified = CertifiedModel.WithoutCertificate();
        var command = new Command("chat", "Talks with a model in the terminal; /new starts over, an empty line or Ctrl-D ends.") { model, system, temperature, maxTokens, seed, precision, device, uncertified };
        command.SetAction(async (arguments, cancellationToken) =>
        {
            var (package, choice) = CertifiedModel.Open(arguments.GetValue(model) ?? OnlyModel.Of("models"), arguments.GetRequiredValue(precision), arguments.GetRequiredValue(device), arguments.GetValue(uncertified));
            var sampling = new SamplingParameters { Temperature = arguments.GetValue(temperature), Seed = arguments.GetValue(seed) }.Validated(package.Config.VocabSize);
            await using var engine = GenerationEngine.Load(package, choice.Precision, new EngineOptions { Slots = 1, Device = choice.Device });
            var session = new Session(package, engine, sampling, arguments.GetValue(maxTokens), arguments.GetValue(system));
            await session.RunAsync(cancellationToken);
        });
        return command;
    }

    private sealed class Session(ModelPackage package, GenerationEngine engine, SamplingParameters sampling, int maxTokens, string? system)
    {
        private readonly TextTokenizer _tokenizer = package.LoadTokenizer();
        private readonly List<ChatMessage> _messages = [];

        public async Task RunAsync(CancellationToken cancellationToken)
        {
            var template = package.LoadChatTemplate(_tokenizer);
            StartOver();
            while (!cancellationToken.IsCancellationRequested)
            {
                Console.Write("> ");
                string? line = await Console.In.ReadLineAsync(cancellationToken);
                if (string.IsNullOrEmpty(line))
                {
                    return;
                }
                if (line == "/new")
                {
                    StartOver();
                    continue;
                }
                _messages.Add(ChatMessage.User(line));
                try
                {
                    _messages.Add(ChatMessage.Assistant(await AnswerAsync(template, cancellationToken)));
                }
                catch (PromptTooLongException error)
                {
                    _messages.RemoveAt(_messages.Count - 1);
                    Console.WriteLine($"(The conversation with this message has {error.PromptTokens} tokens, and the context holds {error.ContextLength}: say less, or start over with /new.)");
                }
            }
        }

        private void StartOver()
        {
            _messages.Clear();
            if (system is not null)
            {
                _messages.Add(ChatMessage.System(system));
            }
        }

        private async Task<string> AnswerAsync(ChatTemplate template, CancellationToken cancellationToken)
        {
            var detokenizer = new StreamingDetokenizer(_tokenizer, atStart: false);
            var answer = new System.Text.StringBuilder();
            var request = new GenerationRequest
            {
                Id = "chat",
                PromptIds = template.EncodePrompt(_messages),
                MaxNewTokens = maxTokens,
                Sampling = sampling,
                StopTokenIds = template.StopTokenIds,
            };
            await foreach (var token in engine.GenerateAsync(request, cancellationToken))
            {
                Show(token.Finish == FinishReason.Stop ? "" : detokenizer.Push(token.Id));
            }
            Show(detokenizer.Flush());
            Console.WriteLine();
            return answer.ToString();

            void Show(string text)
            {
                Console.Write(text);
                answer.Append(text);
            }
        }
    }
}
