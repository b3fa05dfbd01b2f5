using Portal.Data.Explanations;
using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Influence;

/// <summary>The two numbers that say whether a response's pairs matter for its reward more than pairs do for any response.</summary>
/// <param name="Explained">Σ ω_i m_i of its projection.</param>
/// <param name="Drop">By how much θ · q falls when its pairs are removed (one Newton step).</param>
/// <param name="RelativeResidual">What the projection leaves over of q.</param>
public sealed record ExplanationEvidence(double Explained, double Drop, double RelativeResidual)
{
    /// <summary>Of an explanation and the pairs that one method names.</summary>
    public static ExplanationEvidence Of(PairExplanation explanation, AttributionMethod method, ExplanationQuery query, PairInfluence influence)
    {
        var without = influence.NewtonWithout(new VoteChange([.. explanation.By[method].Select(pair => pair.Row)]));
        return new ExplanationEvidence(explanation.Explained, TensorPrimitives.Dot<double>(influence.Theta, query.Vector) - TensorPrimitives.Dot<double>(without, query.Vector), explanation.RelativeResidual);
    }
}

/// <summary>
/// What satisfactory responses show, against which a flagged one is read: any response is explained by something, and a badge that says "good" of all of them says nothing.
/// </summary>
/// <remarks>At a level of 95 % for each of two numbers at most one satisfactory response in twenty is called good; fewer where the two go together less. Of one reward model, query mode and method.</remarks>
/// <param name="Responses">Satisfactory responses measured.</param>
/// <param name="ExplainedAbove">The 95th percentile of their explained rewards.</param>
/// <param name="DropAbove">The same of their drops.</param>
public sealed record ExplanationCalibration(int Responses, double ExplainedAbove, double DropAbove)
{
    /// <summary>Fewer satisfactory responses say too little about the highest twentieth of them.</summary>
    public const int ResponsesMin = 200;

    /// <summary>The share of satisfactory responses below each limit.</summary>
    public const double Level = 0.95;

    /// <summary>From here on too much of a response is left over for its pairs to be called its cause.</summary>
    public const double RelativeResidualMax = 0.95;

    /// <exception cref="ArgumentException">Fewer than <see cref="ResponsesMin"/>, unless <paramref name="responsesMin"/> says that fewer will do.</exception>
    public static ExplanationCalibration Of(IReadOnlyList<ExplanationEvidence> satisfactory, int responsesMin = ResponsesMin)
    {
        if (satisfactory.Count < Math.Max(1, responsesMin))
            throw new ArgumentException($"{satisfactory.Count} satisfactory responses are there; {responsesMin} are needed to know what they show.", nameof(satisfactory));
        double Limit(Func<ExplanationEvidence, double> of) => Bootstrap.Quantile([.. satisfactory.Select(of).Order()], Level);
        return new ExplanationCalibration(satisfactory.Count, Limit(evidence => evidence.Explained), Limit(evidence => evidence.Drop));
    }

    /// <summary>Reads a response's evidence.</summary>
    public ExplanationConfidence Read(ExplanationEvidence evidence)
    {
        if (evidence.RelativeResidual > RelativeResidualMax)
            return ExplanationConfidence.Unexplained;
        return (evidence.Explained > ExplainedAbove, evidence.Drop > DropAbove) switch
        {
            (true, true) => ExplanationConfidence.Good,
            (false, false) => ExplanationConfidence.Unexplained,
            _ => ExplanationConfidence.Weak,
        };
    }
}
