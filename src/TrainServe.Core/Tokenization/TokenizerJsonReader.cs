using System.Text;
using TrainServe.Core.Packaging;

namespace TrainServe.Core.Tokenization;

/// <summary>Reads Hugging Face's <c>tokenizer.json</c>: byte-level BPE, and SentencePiece-type BPE with byte fallback. Everything else is refused by name.</summary>
internal static class TokenizerJsonReader
{
    private const string Underline = "▁";

    // Far above any vocabulary, and small enough for a table of all ids.
    private const int MaxId = 1 << 24;

    public static TokenizerDefinition Read(string path)
    {
        var root = JsonField.ReadFile(path, out byte[] content);
        return Read(root, FileHash.OfBytes(content));
    }

    private static TokenizerDefinition Read(JsonField root, string sha256)
    {
        var model = root["model"];
        string type = model["type"].OptionalText ?? (model["merges"].IsNull ? "unknown" : "BPE");
        if (type != "BPE")
        {
            throw model["type"].Refused($"is {type}; only BPE is implemented");
        }
        model["dropout"].RequireOff();
        model["continuing_subword_prefix"].RequireOff();
        model["end_of_word_suffix"].RequireOff();

        var vocabulary = ReadVocabulary(model["vocab"]);
        var definition = new TokenizerDefinition
        {
            Source = root.File,
            Sha256 = sha256,
            Vocabulary = vocabulary,
            Merges = [.. model["merges"].Items().Select(ReadMerge)],
            AddedTokens = ReadAddedTokens(root["added_tokens"], vocabulary),
            IgnoreMerges = model["ignore_merges"].Flag(),
        };
        return model["byte_fallback"].Flag() ? WithSentencePiece(definition, root) : WithByteLevel(definition, root);
    }

    private static Dictionary<string, int> ReadVocabulary(JsonField vocab)
    {
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        var taken = new HashSet<int>();
        foreach (var (token, id) in vocab.Members())
        {
            int number = id.Number;
            if (number is < 0 or > MaxId || !taken.Add(number))
            {
                throw id.Refused($"is {number}, which is negative, above {MaxId}, or another token's id");
            }
            vocabulary.Add(token, number);
        }
        return vocabulary.Count > 0 ? vocabulary : throw vocab.Refused("is empty");
    }

    private static (string Left, string Right) ReadMerge(JsonField merge)
    {
        if (merge.Value.ValueKind == System.Text.Json.JsonValueKind.Array)
        {
            var pair = merge.Items().ToArray();
            return pair.Length == 2 ? (pair[0].Text, pair[1].Text) : throw merge.Refused("must be a pair");
        }
        return SplitMerge(merge.Text) ?? throw merge.Refused($"is {merge.Shown()}; it must be two tokens with a space between them");
    }

    /// <summary>The two halves of the older spelling, <c>"a b"</c>; null when it is not two.</summary>
    public static (string Left, string Right)? SplitMerge(string merge)
    {
        int space = merge.IndexOf(' ');
        return space > 0 && space < merge.Length - 1 && merge.IndexOf(' ', space + 1) < 0 ? (merge[..space], merge[(space + 1)..]) : null;
    }

    private static List<AddedToken> ReadAddedTokens(JsonField list, Dictionary<string, int> vocabulary)
    {
        var ordinary = vocabulary.ToDictionary(token => token.Value, token => token.Key);
        var tokens = new List<AddedToken>();
        if (list.IsNull)
        {
            return tokens;
        }
        foreach (var item in list.Items())
        {
            var token = new AddedToken(item["content"].Text, item["id"].Number, item["special"].Flag(), item["normalized"].Flag(otherwise: true));
            if (token.Content.Length == 0)
            {
                throw item["content"].Refused("is empty");
            }
            if (token.Id is < 0 or > MaxId || tokens.Exists(other => other.Id == token.Id || other.Content == token.Content))
            {
                throw item.Refused($"is {item.Shown()}; its id is negative or above {MaxId}, or its id or content is another added token's");
            }
            // Hugging Face's files often list an added token in the vocabulary too: under its own name that is one token, under another it would be two.
            if (ordinary.TryGetValue(token.Id, out string? other) && other != token.Content)
            {
                throw item["id"].Refused($"is {token.Id}, which is the id of the ordinary token {other}");
            }
            if (!token.IsSpecial)
            {
                // How a special token is looked for in text does not matter: it never is.
                item["lstrip"].RequireOff();
                item["rstrip"].RequireOff();
                item["single_word"].RequireOff();
            }
            tokens.Add(token);
        }
        return tokens;
    }

    private static TokenizerDefinition WithByteLevel(TokenizerDefinition definition, JsonField root)
    {
        var splitters = new List<WordSplitter>();
        if (!AddSplitters(root["pre_tokenizer"], splitters))
        {
            throw root["pre_tokenizer"].Refused("has no ByteLevel step, and the model has no byte_fallback; only these two ways to write any byte are implemented");
        }
        return definition with
        {
            Normalization = ReadNormalization(root["normalizer"]),
            Splitter = splitters.Count switch { 0 => new WholeTextSplitter(), 1 => splitters[0], _ => new SequenceSplitter(splitters) },
        };
    }

    private static bool AddSplitters(JsonField step, List<WordSplitter> splitters)
    {
        if (step.IsNull)
        {
            return false;
        }
        switch (step["type"].Text)
        {
            case "Sequence":
                bool byteLevel = false;
                foreach (var inner in step["pretokenizers"].Items())
                {
                    if (byteLevel)
                    {
                        throw inner.Refused("comes after ByteLevel, which has to be the last step");
                    }
                    byteLevel = AddSplitters(inner, splitters);
                }
                return byteLevel;
            case "ByteLevel":
                step["add_prefix_space"].RequireOff();
                if (step["use_regex"].Flag(otherwise: true))
                {
                    splitters.Add(PatternSplitter.Gpt2);
                }
                return true;
            case "Split":
                splitters.Add(ReadSplit(step));
                return false;
            case var other:
                throw step["type"].Refused($"is {other}; only ByteLevel, Split and a Sequence of them are implemented");
        }
    }

    private static WordSplitter ReadSplit(JsonField step)
    {
        if (step["behavior"].Text != "Isolated")
        {
            throw step["behavior"].Refused($"is {step["behavior"].Shown()}; only Isolated is implemented");
        }
        step["invert"].RequireOff();
        var regex = step["pattern"]["Regex"];
        try
        {
            return PatternSplitter.TryGet(regex.Text) ?? (WordSplitter)RegexSplitter.Create(regex.Text);
        }
        catch (NotSupportedException error)
        {
            throw regex.Refused($"is {regex.Shown()} and cannot be used: {error.Message}");
        }
    }

    private static NormalizationForm? ReadNormalization(JsonField normalizer)
    {
        if (normalizer.IsNull)
        {
            return null;
        }
        switch (normalizer["type"].Text)
        {
            case "NFC":
                return NormalizationForm.FormC;
            case "NFD":
                return NormalizationForm.FormD;
            case "NFKC":
                return NormalizationForm.FormKC;
            case "NFKD":
                return NormalizationForm.FormKD;
            case "Sequence" when normalizer["normalizers"].Items().ToArray() is { Length: <= 1 } steps:
                return steps.Length == 0 ? null : ReadNormalization(steps[0]);
            default:
                throw normalizer["type"].Refused($"is {normalizer["type"].Shown()}; only NFC, NFD, NFKC and NFKD are implemented for a byte-level tokenizer");
        }
    }

    private static TokenizerDefinition WithSentencePiece(TokenizerDefinition definition, JsonField root)
    {
        var preTokenizer = root["pre_tokenizer"];
        if (!preTokenizer.IsNull)
        {
            throw preTokenizer.Refused("must be null for a tokenizer with byte_fallback");
        }
        var normalizer = root["normalizer"];
        bool prefix = false, replaced = false;
        foreach (var step in StepsOf(normalizer, "normalizers"))
        {
            prefix |= !replaced && step["type"].Text == "Prepend" && step["prepend"].Text == Underline;
            replaced |= step["type"].Text == "Replace" && step["pattern"]["String"].Text == " " && step["content"].Text == Underline;
            if (step["type"].Text is not ("Prepend" or "Replace"))
            {
                throw step["type"].Refused($"is {step["type"].Shown()}; only Prepend and Replace are implemented for a tokenizer with byte_fallback");
            }
        }
        if (!replaced)
        {
            throw normalizer.Refused($"must replace a space by {Underline}, as tokenizers with byte_fallback do");
        }
        bool strip = false;
        foreach (var step in StepsOf(root["decoder"], "decoders"))
        {
            switch (step["type"].Text)
            {
                case "Replace" or "ByteFallback" or "Fuse":
                    break;
                case "Strip" when step["content"].Text == " " && step["start"].Number == 1 && step["stop"].Number == 0:
                    strip = true;
                    break;
                default:
                    throw step.Refused($"is {step.Shown()}; only Replace, ByteFallback, Fuse and Strip of one leading space are implemented");
            }
        }
        return definition with { IsSentencePiece = true, AddDummyPrefix = prefix, StripLeadingSpace = strip };
    }

    private static IEnumerable<JsonField> StepsOf(JsonField owner, string key) =>
        owner.IsNull ? [] : owner["type"].Text == "Sequence" ? owner[key].Items() : [owner];
}
