namespace Portal.Web.Home;

/// <summary>Names <c>Home/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
