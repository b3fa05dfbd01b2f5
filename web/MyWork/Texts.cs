namespace Portal.Web.MyWork;

/// <summary>Names <c>MyWork/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
