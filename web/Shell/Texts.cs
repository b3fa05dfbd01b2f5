namespace Portal.Web.Shell;

/// <summary>Names <c>Shell/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>; every folder with pages has its own pair.</summary>
public sealed class Texts;
