namespace Portal.Web.Components;

/// <summary>Names <c>Components/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>; every folder with pages has its own pair.</summary>
public sealed class Texts;
