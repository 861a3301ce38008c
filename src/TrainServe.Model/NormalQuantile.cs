namespace TrainServe.Model;

/// <summary>The inverse of the standard normal distribution function, out of additions, multiplications, divisions and square roots alone.</summary>
/// <remarks>
/// Those four are rounded the same way everywhere, while a platform's own logarithm and cosine may differ in the last bit; so the same uniform number gives the
/// same normal number on every machine. Wichura 1988, "Algorithm AS 241: The Percentage Points of the Normal Distribution", PPND7: about 7 digits.
/// </remarks>
internal static class NormalQuantile
{
    /// <param name="p">Between 0 and 1, both excluded.</param>
    public static double Of(double p)
    {
        double q = p - 0.5;
        if (Math.Abs(q) <= 0.425)
        {
            double r = 0.180625 - q * q;
            return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)
                / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1);
        }
        double tail = Math.Sqrt(-Logarithm(q < 0 ? p : 1 - p));
        double magnitude;
        if (tail <= 5)
        {
            double r = tail - 1.6;
            magnitude = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777)
                / ((0.12021132975 * r + 0.73700164250) * r + 1);
        }
        else
        {
            double r = tail - 5;
            magnitude = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150)
                / ((0.012258202635 * r + 0.24197894225) * r + 1);
        }
        return q < 0 ? -magnitude : magnitude;
    }

    // ln x = e ln 2 + 2 artanh((m - 1) / (m + 1)), x = m 2^e with m in [1, 2).
    private static double Logarithm(double x)
    {
        const double ln2 = 0.69314718055994530942;
        long bits = BitConverter.DoubleToInt64Bits(x);
        int exponent = (int)(bits >> 52) - 1023;
        double mantissa = BitConverter.Int64BitsToDouble((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000);
        double z = (mantissa - 1) / (mantissa + 1), square = z * z, term = z, sum = z;
        for (int power = 3; power <= 33; power += 2)
        {
            term *= square;
            sum += term / power;
        }
        return exponent * ln2 + 2 * sum;
    }
}
