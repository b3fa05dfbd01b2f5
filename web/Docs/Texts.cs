namespace Portal.Web.Docs;

/// <summary>Names <c>Docs/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
