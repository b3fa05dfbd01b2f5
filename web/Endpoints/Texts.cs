namespace Portal.Web.Endpoints;

/// <summary>Names <c>Endpoints/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
