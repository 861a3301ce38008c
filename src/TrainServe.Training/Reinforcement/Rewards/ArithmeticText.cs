namespace TrainServe.Training.Reinforcement.Rewards;

/// <summary>Computes sums, differences and products of whole numbers as they stand in a prompt.</summary>
public static class ArithmeticText
{
    /// <summary>The value of the last expression of a text, such as <c>What is 12 + 3 * 4?</c> or <c>25-759=</c>; null when there is none with an operator.</summary>
    /// <remarks>Products come before sums. An equals sign or a question mark may follow.</remarks>
    /// <exception cref="OverflowException">The value is beyond 96 bits.</exception>
    public static decimal? Value(string text)
    {
        string trimmed = text.TrimEnd(' ', '\n', '\r', '\t', '=', '?', '.', ':');
        int start = trimmed.Length;
        while (start > 0 && (char.IsAsciiDigit(trimmed[start - 1]) || trimmed[start - 1] is '+' or '-' or '*' or '×' or ' '))
        {
            start--;
        }
        string expression = trimmed[start..].Replace(" ", "", StringComparison.Ordinal).TrimStart('+', '*', '×');
        return Parse(expression);
    }

    private static decimal? Parse(string expression)
    {
        decimal sum = 0, product = 0;
        int place = 0, operators = 0;
        char pending = '+';
        while (place < expression.Length)
        {
            int start = place;
            // A sign may only stand at the very beginning.
            if (place == 0 && expression[0] == '-')
            {
                place++;
            }
            int digits = place;
            while (place < expression.Length && char.IsAsciiDigit(expression[place]))
            {
                place++;
            }
            if (place == digits || !decimal.TryParse(expression.AsSpan(start, place - start), System.Globalization.NumberStyles.AllowLeadingSign, System.Globalization.CultureInfo.InvariantCulture, out decimal value))
            {
                return null;
            }
            (sum, product) = pending switch
            {
                '+' => (sum + product, value),
                '-' => (sum + product, -value),
                _ => (sum, product * value),
            };
            if (place < expression.Length)
            {
                pending = expression[place++];
                operators++;
                if (place == expression.Length)
                {
                    return null;
                }
            }
        }
        return operators > 0 ? sum + product : null;
    }
}
