namespace Portal.Web.Annotate;

/// <summary>Names <c>Annotate/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
