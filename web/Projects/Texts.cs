namespace Portal.Web.Projects;

/// <summary>Names <c>Projects/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
