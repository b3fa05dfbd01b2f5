namespace Portal.Engine.Unlearning;

/// <summary>Ways to take pairs out of a reward model: all of them of its linear head (<see cref="HeadUnlearning"/>), the descents of the whole model too (<see cref="ModelUnlearning"/>).</summary>
public enum RewardUnlearningMethod
{
    /// <summary>U1: the loss of the pairs that are left, to its optimum from zero. What every other way is measured against.</summary>
    Retrain = 1,
    /// <summary>U2: two Newton steps on that loss (<see cref="NewtonRemoval"/>).</summary>
    NewtonTwice = 2,
    /// <summary>One of them.</summary>
    NewtonOnce = 3,
    /// <summary>The kept inverse curvature times the pairs' own pull: no pass over the data.</summary>
    InfluenceUpdate = 4,
    /// <summary>U3: descent with the pairs turned round and all others kept, until the margins are where they would be without the pairs.</summary>
    SwapAndRetain = 5,
    /// <summary>U0, the paper's: descent with the pairs turned round and nothing kept. It trains on the data again and always goes too far.</summary>
    Swap = 6,
    /// <summary>U4: negative preference optimisation on the margins, with all others kept.</summary>
    NegativePreference = 7,
    /// <summary>U5: the pairs' loss is raised. A baseline that wrecks the model.</summary>
    GradientAscent = 8,
    /// <summary>The same with all others kept. A baseline.</summary>
    GradientDifference = 9,
    /// <summary>Descent on the others alone.</summary>
    RetainOnly = 10,
}
