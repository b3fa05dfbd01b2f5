namespace Portal.Web.Datasets;

/// <summary>Names <c>Datasets/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
