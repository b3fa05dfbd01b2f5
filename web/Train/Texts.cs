namespace Portal.Web.Train;

/// <summary>Names <c>Train/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
