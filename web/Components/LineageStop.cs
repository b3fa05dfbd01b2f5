namespace Portal.Web.Components;

/// <summary>One stop on the path of a vote.</summary>
/// <param name="Name">"4,612 judgements", "dataset v7", "job 118".</param>
/// <param name="Href">Its page; null for a stop that is not there yet.</param>
/// <param name="IsHere">True for the object whose page this is.</param>
public sealed record LineageStop(string Name, string? Href = null, bool IsHere = false);
