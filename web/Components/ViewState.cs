namespace Portal.Web.Components;

/// <summary>The five states every view is designed for; <c>StateView</c> draws them.</summary>
public enum ViewState
{
    Loading,
    Empty,
    Ready,
    TooMuch,
    Failed,
}
