namespace Portal.Web.Review;

/// <summary>Names <c>Review/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
