using System.Globalization;
using Portal.Data.SaeFeatures;

namespace Portal.Web.SaeFeatures;

/// <summary>A set as somebody is changing it: what stands in the fields, not saved yet. Mutable: the page's inputs are bound to it.</summary>
public sealed class ToggleDraft
{
    /// <summary>One feature and what stands in the field of its factor.</summary>
    public sealed record Line(int Latent, string Typed)
    {
        /// <summary>The factor; null where what was typed is none that can be used.</summary>
        public double? Factor => double.TryParse(Typed, NumberStyles.Float, CultureInfo.InvariantCulture, out var factor) && Math.Abs(factor) <= ToggleSet.MultiplierMax ? factor : null;
    }

    private readonly List<Line> lines = [];

    public string Name { get; set; } = "";
    public string Reason { get; set; } = "";
    public string Target { get; set; } = "";

    /// <summary>In the order in which they were added.</summary>
    public IReadOnlyList<Line> Lines => lines;

    /// <summary>The features, as they are in the set now.</summary>
    public IReadOnlyCollection<int> Latents => lines.ConvertAll(line => line.Latent);

    public static ToggleDraft Of(ToggleSet set)
    {
        var draft = new ToggleDraft { Name = set.Name, Reason = set.Reason, Target = set.Target };
        draft.lines.AddRange(set.Toggles().Select(toggle => new Line(toggle.Latent, FactorWords.Input(toggle.Multiplier))));
        return draft;
    }

    /// <summary>Puts a feature in, switched off. False where it is in already, or the set is full.</summary>
    public bool Add(int latent)
    {
        if (lines.Count >= ToggleSet.TogglesMax || lines.Exists(line => line.Latent == latent))
            return false;
        lines.Add(new Line(latent, "0"));
        return true;
    }

    public void Remove(int latent) => lines.RemoveAll(line => line.Latent == latent);

    public void Type(int latent, string typed)
    {
        var index = lines.FindIndex(line => line.Latent == latent);
        if (index >= 0)
            lines[index] = new Line(latent, typed);
    }

    /// <summary>The factors; null while one of the fields holds none.</summary>
    public IReadOnlyList<Toggle>? Toggles() => lines.TrueForAll(line => line.Factor is not null) ? lines.ConvertAll(line => new Toggle(line.Latent, line.Factor!.Value)) : null; // just asked
}
