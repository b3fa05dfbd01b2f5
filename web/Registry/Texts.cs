namespace Portal.Web.Registry;

/// <summary>Names <c>Registry/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
