namespace Portal.Web.Jobs;

/// <summary>Names <c>Jobs/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
