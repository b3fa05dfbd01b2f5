namespace Portal.Web.Accounts;

/// <summary>Names <c>Accounts/Texts.resx</c> for <c>IStringLocalizer&lt;Texts&gt;</c>.</summary>
public sealed class Texts;
