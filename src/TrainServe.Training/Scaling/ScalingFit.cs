namespace TrainServe.Training.Scaling;

// N parameters, D tokens, L loss in nats a token.

/// <summary>What one run of a ladder reached.</summary>
/// <param name="Parameters">N, embedding included.</param>
/// <param name="Tokens">D, learned from.</param>
/// <param name="Loss">On held-out rows, nats a token.</param>
public sealed record ScalingPoint(long Parameters, long Tokens, double Loss);

/// <summary>L(N, D) = E + A / N^alpha + B / D^beta: loss as a function of size and data.</summary>
/// <remarks>Hoffmann et al. 2022, arXiv:2203.15556, eq. 2 and its third approach, with relative squared errors in place of a Huber loss of logarithms: for given exponents the rest is linear, so that a search of the exponents finds the best of all.</remarks>
/// <param name="Irreducible">E, what no size and no data remove.</param>
/// <param name="SizeCoefficient">A.</param>
/// <param name="SizeExponent">alpha.</param>
/// <param name="DataCoefficient">B.</param>
/// <param name="DataExponent">beta.</param>
/// <param name="RelativeError">Root of the mean of the squared relative errors on the points.</param>
public sealed record ScalingFit(double Irreducible, double SizeCoefficient, double SizeExponent, double DataCoefficient, double DataExponent, double RelativeError)
{
    private const double LeastExponent = 0.02, MostExponent = 2;
    private const int Grid = 48, Rounds = 5, LeastPoints = 5;

    /// <summary>The loss that is foretold.</summary>
    public double Loss(double parameters, double tokens) => Irreducible + SizeCoefficient * Math.Pow(parameters, -SizeExponent) + DataCoefficient * Math.Pow(tokens, -DataExponent);

    /// <summary>The tokens for which a size is the best one that the same computation, 6 N D, could pay; null where the points do not say.</summary>
    public double? BestTokens(double parameters)
    {
        double size = SizeExponent * SizeCoefficient * Math.Pow(parameters, -SizeExponent), data = DataExponent * DataCoefficient;
        return size > 0 && data > 0 ? Math.Pow(data / size, 1 / DataExponent) : null;
    }

    /// <param name="points">Of at least two sizes and two amounts of data, five in all.</param>
    /// <exception cref="ArgumentException">There are too few.</exception>
    public static ScalingFit Of(IReadOnlyList<ScalingPoint> points)
    {
        if (points.Count < LeastPoints || points.DistinctBy(point => point.Parameters).Count() < 2 || points.DistinctBy(point => point.Tokens).Count() < 2)
        {
            throw new ArgumentException($"A fit needs at least {LeastPoints} runs of two sizes and two amounts of data; there are {points.Count}.", nameof(points));
        }
        double lowSize = Math.Log(LeastExponent), highSize = Math.Log(MostExponent), lowData = lowSize, highData = highSize;
        ScalingFit? best = null;
        for (int round = 0; round < Rounds; round++)
        {
            double stepSize = (highSize - lowSize) / (Grid - 1), stepData = (highData - lowData) / (Grid - 1);
            for (int i = 0; i < Grid * Grid; i++)
            {
                var fit = Linear(points, Math.Exp(lowSize + i / Grid * stepSize), Math.Exp(lowData + i % Grid * stepData));
                best = best is null || fit.RelativeError < best.RelativeError ? fit : best;
            }
            // Around the best, and finer.
            (lowSize, highSize) = (Math.Log(best!.SizeExponent) - 2 * stepSize, Math.Log(best.SizeExponent) + 2 * stepSize);
            (lowData, highData) = (Math.Log(best.DataExponent) - 2 * stepData, Math.Log(best.DataExponent) + 2 * stepData);
        }
        return best!;
    }

    // E, A and B that are not negative: the best of the solutions in which some of them are 0.
    private static ScalingFit Linear(IReadOnlyList<ScalingPoint> points, double alpha, double beta)
    {
        double[][] columns = [[.. points.Select(point => 1 / point.Loss)], [.. points.Select(point => Math.Pow(point.Parameters, -alpha) / point.Loss)], [.. points.Select(point => Math.Pow(point.Tokens, -beta) / point.Loss)]];
        double[] best = [0, 0, 0];
        double least = double.PositiveInfinity;
        for (int subset = 1; subset < 8; subset++)
        {
            int[] used = [.. Enumerable.Range(0, 3).Where(column => (subset >> column & 1) == 1)];
            double[]? found = Solve([.. used.Select(column => columns[column])]);
            if (found is null || found.Any(value => value < 0))
            {
                continue;
            }
            double error = Enumerable.Range(0, points.Count).Sum(point => Math.Pow(used.Select((column, index) => columns[column][point] * found[index]).Sum() - 1, 2));
            if (error < least)
            {
                least = error;
                best = [0, 0, 0];
                foreach (var (column, value) in used.Zip(found))
                {
                    best[column] = value;
                }
            }
        }
        return new ScalingFit(best[0], best[1], alpha, best[2], beta, Math.Sqrt(least / points.Count));
    }

    // Least squares against ones, by the normal equations of columns brought to length 1; null where they are nearly dependent.
    private static double[]? Solve(double[][] columns)
    {
        int size = columns.Length;
        double[] lengths = [.. columns.Select(column => Math.Sqrt(column.Sum(value => value * value)))];
        var matrix = new double[size, size + 1];
        for (int row = 0; row < size; row++)
        {
            for (int column = 0; column < size; column++)
            {
                matrix[row, column] = columns[row].Zip(columns[column], (one, other) => one * other).Sum() / lengths[row] / lengths[column];
            }
            matrix[row, size] = columns[row].Sum() / lengths[row];
        }
        for (int pivot = 0; pivot < size; pivot++)
        {
            if (matrix[pivot, pivot] < 1e-12)
            {
                return null;
            }
            for (int row = 0; row < size; row++)
            {
                double factor = row == pivot ? 0 : matrix[row, pivot] / matrix[pivot, pivot];
                for (int column = pivot; column <= size; column++)
                {
                    matrix[row, column] -= factor * matrix[pivot, column];
                }
            }
        }
        return [.. Enumerable.Range(0, size).Select(row => matrix[row, size] / matrix[row, row] / lengths[row])];
    }
}
