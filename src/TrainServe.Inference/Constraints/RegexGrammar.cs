using System.Globalization;
using static TrainServe.Inference.Constraints.GrammarNode;

namespace TrainServe.Inference.Constraints;

/// <summary>Makes a grammar of a regular expression: literals, classes, groups, alternatives and repetitions, anchors at its ends. Nothing is ever matched by backtracking.</summary>
public static class RegexGrammar
{
    private const int MostLength = 1024, MostDepth = 32, MostCount = 1000;

    /// <param name="pattern">Without ^ or $ anything may stand before or after it, as in a search.</param>
    /// <param name="json">Characters are written as between the quotation marks of a JSON string.</param>
    /// <exception cref="FormatException">It is none, or has something that is not supported; the message says what.</exception>
    public static GrammarNode Make(string pattern, bool json)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        if (pattern.Length > MostLength)
        {
            throw new FormatException($"it has more than {MostLength} characters.");
        }
        return new Parser(pattern, json).Parse();
    }

    private sealed class Parser(string pattern, bool json)
    {
        private int _at, _depth;

        private bool AtEnd => _at == pattern.Length;
        private char Here => pattern[_at];

        public GrammarNode Parse()
        {
            // An anchor belongs to its alternative: ^a|b is what begins with a, or has a b.
            var anything = new Repeat(Encode(CharacterSet.All), 0, null);
            var alternatives = new List<GrammarNode>();
            do
            {
                bool start = TakeIf('^');
                var body = Items();
                bool end = TakeIf('$');
                alternatives.Add(Join(start ? Empty : anything, body, end ? Empty : anything));
            }
            while (TakeIf('|'));
            return AtEnd ? OneOf(alternatives) : throw Wrong($"'{Here}' is not expected");
        }

        private GrammarNode Alternatives()
        {
            if (++_depth > MostDepth)
            {
                throw Wrong($"groups are nested more than {MostDepth} deep");
            }
            var alternatives = new List<GrammarNode> { Items() };
            while (TakeIf('|'))
            {
                alternatives.Add(Items());
            }
            _depth--;
            return OneOf(alternatives);
        }

        private GrammarNode Items()
        {
            var items = new List<GrammarNode>();
            while (!AtEnd && Here is not ('|' or ')') && !(Here == '$' && _depth == 0 && (_at == pattern.Length - 1 || pattern[_at + 1] == '|')))
            {
                items.Add(Repeated(Atom()));
            }
            return Join(items);
        }

        private GrammarNode Repeated(GrammarNode atom)
        {
            while (!AtEnd)
            {
                (int Least, int? Most)? count = Here switch
                {
                    '*' => (0, null),
                    '+' => (1, null),
                    '?' => (0, 1),
                    '{' => Count(),
                    _ => null,
                };
                if (count is not { } repeat)
                {
                    return atom;
                }
                _at++;
                TakeIf('?'); // the same texts, tried in another order
                atom = new Repeat(atom, repeat.Least, repeat.Most);
            }
            return atom;
        }

        // Leaves the reader on the closing brace.
        private (int Least, int? Most) Count()
        {
            int close = pattern.IndexOf('}', _at);
            string[] parts = close < 0 ? [] : pattern[(_at + 1)..close].Split(',');
            if (parts.Length is 0 or > 2 || !TryCount(parts[0], out int least) || (parts.Length == 2 && parts[1].Length > 0 && !TryCount(parts[1], out _)))
            {
                throw Wrong($"a count must be {{m}}, {{m,}} or {{m,n}} with numbers up to {MostCount}");
            }
            int? most = parts.Length == 1 ? least : parts[1].Length == 0 ? null : int.Parse(parts[1], CultureInfo.InvariantCulture);
            if (least > most)
            {
                throw Wrong("the first number of a count is above the second");
            }
            _at = close;
            return (least, most);
        }

        private static bool TryCount(string text, out int count) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out count) && count <= MostCount;

        private GrammarNode Atom()
        {
            char here = pattern[_at++];
            switch (here)
            {
                case '.':
                    return Encode(CharacterSet.All);
                case '[':
                    return Encode(Class());
                case '\\':
                    return Encode(Escape());
                case '(':
                    if (TakeIf('?') && !TakeIf(':'))
                    {
                        throw Wrong("of groups with '?' only '(?:' is supported");
                    }
                    var group = Alternatives();
                    return TakeIf(')') ? group : throw Wrong("a group is not closed");
                case '*' or '+' or '?' or '{':
                    _at--;
                    throw Wrong("there is nothing to repeat");
                case '^' or '$':
                    _at--;
                    throw Wrong("anchors are supported at the ends only");
                default:
                    return Literal(here);
            }
        }

        private GrammarNode Literal(char first)
        {
            if (first < 0x80)
            {
                return Encode(CharacterSet.Of(first));
            }
            if (char.IsHighSurrogate(first) && !AtEnd && char.IsLowSurrogate(Here))
            {
                return Text($"{first}{pattern[_at++]}");
            }
            return char.IsSurrogate(first) ? throw Wrong("half of a surrogate pair is not text") : Text(first.ToString());
        }

        private CharacterSet Class()
        {
            bool negated = TakeIf('^');
            var set = default(CharacterSet);
            for (bool first = true; ; first = false)
            {
                if (AtEnd)
                {
                    throw Wrong("a class is not closed");
                }
                char least = pattern[_at++];
                if (least == ']' && !first)
                {
                    return negated ? ~set : set;
                }
                if (least == '\\')
                {
                    set |= Escape();
                    continue;
                }
                char most = least;
                if (_at + 1 < pattern.Length && Here == '-' && pattern[_at + 1] != ']')
                {
                    most = pattern[_at + 1];
                    _at += 2;
                }
                if (most < least || most >= 0x80 || most == '\\')
                {
                    throw Wrong("ranges of classes must be of ASCII characters");
                }
                set |= CharacterSet.Range(least, most);
            }
        }

        private CharacterSet Escape()
        {
            if (AtEnd)
            {
                throw Wrong("it ends with a backslash");
            }
            char escaped = pattern[_at++];
            var digits = CharacterSet.Range('0', '9');
            var word = digits | CharacterSet.Range('a', 'z') | CharacterSet.Range('A', 'Z') | CharacterSet.Of('_');
            var space = CharacterSet.Of(' ') | CharacterSet.Range('\t', '\r');
            return escaped switch
            {
                'd' => digits,
                'D' => ~digits,
                'w' => word,
                'W' => ~word,
                's' => space,
                'S' => ~space,
                'n' => CharacterSet.Of('\n'),
                'r' => CharacterSet.Of('\r'),
                't' => CharacterSet.Of('\t'),
                _ when char.IsAsciiLetterOrDigit(escaped) || escaped >= 0x80 => throw Wrong($"'\\{escaped}' is not supported"),
                _ => CharacterSet.Of(escaped),
            };
        }

        private GrammarNode Encode(CharacterSet set)
        {
            var alternatives = new List<GrammarNode>();
            var plain = set.Ascii;
            if (json)
            {
                foreach (var (value, written) in new[] { ('"', "\\\""), ('\\', "\\\\"), ('\n', "\\n"), ('\r', "\\r"), ('\t', "\\t") })
                {
                    if (plain.Contains((byte)value))
                    {
                        alternatives.Add(Text(written));
                    }
                }
                plain &= ByteSet.Range(0x20, 0x7E) & ~ByteSet.Of((byte)'"', (byte)'\\');
            }
            if (!plain.IsEmpty)
            {
                alternatives.Add(new Bytes(plain));
            }
            if (set.NonAscii)
            {
                alternatives.Add(JsonGrammar.NonAscii);
            }
            return alternatives.Count > 0 ? OneOf(alternatives) : throw Wrong("a class has no character");
        }

        private bool TakeIf(char wanted)
        {
            if (AtEnd || Here != wanted)
            {
                return false;
            }
            _at++;
            return true;
        }

        private FormatException Wrong(string what) => new($"{what}, at character {_at + 1} of '{pattern}'.");
    }

    /// <summary>ASCII characters one by one, all others together.</summary>
    private readonly record struct CharacterSet(ByteSet Ascii, bool NonAscii)
    {
        public static CharacterSet All => new(ByteSet.Range(0, 0x7F) & ~ByteSet.Of((byte)'\n', (byte)'\r'), NonAscii: true);
        public static CharacterSet Of(char value) => Range(value, value);
        public static CharacterSet Range(char least, char most) => new(ByteSet.Range((byte)least, (byte)most), NonAscii: false);
        public static CharacterSet operator |(CharacterSet one, CharacterSet other) => new(one.Ascii | other.Ascii, one.NonAscii || other.NonAscii);
        public static CharacterSet operator ~(CharacterSet set) => new(ByteSet.Range(0, 0x7F) & ~set.Ascii, !set.NonAscii);
    }
}
