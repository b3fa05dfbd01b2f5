namespace Portal.Web.Components;

/// <summary>The states a <c>Badge</c> can show; each has a mark of its own, so that colour is never needed to tell them apart.</summary>
public enum BadgeKind
{
    Plain,
    Good,
    Warn,
    Bad,
    Running,
    Waiting,
    Synthetic,
}
