namespace Portal.Web.Erasure;

/// <summary>Names the resource file of this folder's texts.</summary>
public sealed class Texts;
