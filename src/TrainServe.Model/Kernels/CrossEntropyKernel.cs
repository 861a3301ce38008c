using System.Runtime.Intrinsics;

namespace TrainServe.Model.Kernels;

// N rows, V vocabulary.

/// <summary>Loss of each row of logits, and in place of the logits its gradient. Twin: <see cref="CrossEntropy"/>.</summary>
internal static unsafe class CrossEntropyKernel<T> where T : unmanaged, IStoredNumber<T>
{
    private const int Chunk = 8;

    /// <param name="logits">Becomes the gradient where that is wanted, [N, V].</param>
    /// <param name="targets">Ids, or a negative number where there is no loss, [N].</param>
    /// <param name="losses">Written, nats, 0 where there is no target, [N].</param>
    /// <param name="rows">N.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="regularization">Label smoothing and z-loss.</param>
    /// <param name="wantsGradient">Whether the logits are replaced.</param>
    public static void Run(T* logits, long* targets, float* losses, int rows, int vocabulary, LossRegularization regularization, bool wantsGradient)
    {
        var call = new Arguments { Logits = logits, Targets = targets, Losses = losses, Vocabulary = vocabulary, Smoothing = regularization.LabelSmoothing, ZLoss = regularization.ZLoss, WantsGradient = wantsGradient };
        RowParallel.For(rows, Chunk, &Rows, &call);
    }

    private static void Rows(void* data, int from, int to)
    {
        ref var call = ref *(Arguments*)data;
        for (int row = from; row < to; row++)
        {
            T* logits = call.Logits + (long)row * call.Vocabulary;
            if (call.Targets[row] < 0)
            {
                call.Losses[row] = 0;
                if (call.WantsGradient)
                {
                    new Span<T>(logits, call.Vocabulary).Clear();
                }
                continue;
            }
            Row(in call, logits, (int)call.Targets[row], ref call.Losses[row]);
        }
    }

    // loss = (1 - s) (L - z[target]) + s (L - mean(z)) + c L^2, with L = log(sum(exp(z))).
    private static void Row(in Arguments call, T* logits, int target, ref float loss)
    {
        int vocabulary = call.Vocabulary, whole = vocabulary / Lanes.Count * Lanes.Count;
        var highest = Vector512.Create(float.NegativeInfinity);
        for (int i = 0; i < whole; i += Lanes.Count)
        {
            highest = Vector512.Max(highest, T.Load(logits + i));
        }
        float top = float.NegativeInfinity;
        for (int i = 0; i < Lanes.Count; i++)
        {
            top = MathF.Max(top, highest[i]);
        }
        for (int i = whole; i < vocabulary; i++)
        {
            top = MathF.Max(top, T.ToSingle(logits[i]));
        }
        Vector512<float> sums = default, totals = default;
        for (int i = 0; i < whole; i += Lanes.Count)
        {
            var value = T.Load(logits + i);
            sums += Lanes.Exp(value - Vector512.Create(top));
            totals += value;
        }
        float sum = Vector512.Sum(sums), total = Vector512.Sum(totals);
        for (int i = whole; i < vocabulary; i++)
        {
            sum += MathF.Exp(T.ToSingle(logits[i]) - top);
            total += T.ToSingle(logits[i]);
        }
        float logSum = top + MathF.Log(sum), atTarget = T.ToSingle(logits[target]);
        loss = (1 - call.Smoothing) * (logSum - atTarget) + call.ZLoss * logSum * logSum;
        if (call.Smoothing > 0)
        {
            loss += call.Smoothing * (logSum - total / vocabulary);
        }
        if (!call.WantsGradient)
        {
            return;
        }
        float scale = 1 + 2 * call.ZLoss * logSum, everywhere = call.Smoothing / vocabulary;
        float targetGradient = scale * MathF.Exp(atTarget - logSum) - everywhere - (1 - call.Smoothing);
        for (int i = 0; i < whole; i += Lanes.Count)
        {
            T.Store(Lanes.Exp(T.Load(logits + i) - Vector512.Create(logSum)) * scale - Vector512.Create(everywhere), logits + i);
        }
        for (int i = whole; i < vocabulary; i++)
        {
            logits[i] = T.FromSingle(MathF.Exp(T.ToSingle(logits[i]) - logSum) * scale - everywhere);
        }
        logits[target] = T.FromSingle(targetGradient);
    }

    private struct Arguments
    {
        public T* Logits;
        public long* Targets;
        public float* Losses;
        public int Vocabulary;
        public float Smoothing, ZLoss;
        public bool WantsGradient;
    }
}
