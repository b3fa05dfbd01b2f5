using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Portal.Engine.Datasets.Formats;

/// <summary>
/// The named fields of one row, whether it came from JSON or CSV, with typed access that writes down a <see cref="RowProblem"/> instead of
/// throwing. A parser asks for all it needs and gives up where <see cref="Failed"/>, so that one pass names every fault of the row.
/// </summary>
internal sealed class RowFields
{
    private readonly string file;
    private readonly ImportOptions options;
    private readonly Dictionary<string, JsonElement>? json;
    private readonly Dictionary<string, string>? cells;
    private readonly HashSet<string> used;
    private readonly List<RowProblem> problems = [];

    public RowFields(string file, long row, JsonElement element, ImportOptions options)
    {
        (this.file, Row, this.options) = (file, row, options);
        used = new HashSet<string>(StringComparer.Ordinal);
        json = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (JsonProperty property in element.EnumerateObject()) json[property.Name] = property.Value;
        if (json.Count > options.MaxColumns) Refuse(null, $"has {json.Count:N0} fields, more than {options.MaxColumns}.");
    }

    public RowFields(string file, long row, IReadOnlyList<string> header, string[] values, ImportOptions options)
    {
        (this.file, Row, this.options) = (file, row, options);
        used = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        cells = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        for (int i = 0; i < values.Length; i++) cells[header[i]] = values[i];
    }

    public long Row { get; }

    public IReadOnlyList<RowProblem> Problems => problems;

    public bool Failed => problems.Count > 0;

    public bool IsCsv => cells is not null;

    public IEnumerable<string> Names => json is null ? cells!.Keys : json.Keys;

    /// <summary>Whether the field is there with a value: JSON null and an empty CSV cell count as absent.</summary>
    public bool Has(string name) => json is null ? cells!.TryGetValue(name, out string? cell) && cell.Length > 0 : json.TryGetValue(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>Whether the field holds a JSON array.</summary>
    public bool IsList(string name) => json is not null && json.TryGetValue(name, out JsonElement value) && value.ValueKind == JsonValueKind.Array;

    /// <summary>Whether the field holds a JSON object.</summary>
    public bool IsObject(string name) => json is not null && json.TryGetValue(name, out JsonElement value) && value.ValueKind == JsonValueKind.Object;

    /// <summary>Whether the field holds text (any CSV cell does).</summary>
    public bool IsText(string name) => json is null ? cells!.ContainsKey(name) : json.TryGetValue(name, out JsonElement value) && value.ValueKind == JsonValueKind.String;

    /// <summary>A text as it is, without checks or problems; null where it is none, or no well-formed one.</summary>
    public string? Peek(string name)
    {
        if (!IsText(name)) return null;
        if (cells is not null) return cells[name];
        try
        {
            return json![name].GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    public void Refuse(string? field, string reason) => problems.Add(new RowProblem(file, Row, field, reason));

    /// <summary>A text that must be there and must hold more than white space.</summary>
    public string? Text(string name)
    {
        used.Add(name);
        if (!Find(name, "text", out JsonElement value, out string? cell)) return null;
        return cell is not null ? CheckText(name, cell, mayBeEmpty: false) : StringOf(name, value, mayBeEmpty: false);
    }

    /// <summary>A text that may be absent (null) or, where there, empty.</summary>
    public string? OptionalText(string name)
    {
        used.Add(name);
        if (!Has(name)) return null;
        return cells is not null ? CheckText(name, cells[name], mayBeEmpty: true) : StringOf(name, json![name], mayBeEmpty: true);
    }

    /// <summary>An identifier or pseudonym: text, or a whole number taken as its digits; null where absent.</summary>
    public string? OptionalId(string name)
    {
        used.Add(name);
        if (!Has(name)) return null;
        if (cells is null && json![name].ValueKind == JsonValueKind.Number) return json[name].GetRawText();
        string? id = OptionalText(name);
        return string.IsNullOrWhiteSpace(id) ? null : id;
    }

    /// <summary>true or false. CSV cells and, where <paramref name="lenient"/>, JSON texts and numbers may say it in other words.</summary>
    public bool? Bool(string name, bool lenient = false)
    {
        used.Add(name);
        if (!Find(name, "true or false", out JsonElement value, out string? cell)) return null;
        if (cell is null && value.ValueKind is JsonValueKind.True or JsonValueKind.False && cell is null) return value.ValueKind == JsonValueKind.True;
        string? word = cell ?? (lenient ? WordOf(name, value) : null);
        bool? said = word?.Trim().ToLowerInvariant() switch
        {
            "true" or "1" or "yes" => true,
            "false" or "0" or "no" => false,
            _ => null,
        };
        if (said is null && !Failed) Refuse(name, cell is null && !lenient ? $"must be true or false, not {Name(value.ValueKind)}." : $"must be true or false, not \"{Shorten(word ?? "")}\".");
        return said;
    }

    /// <summary>A short word: text, number or truth value, as text; null where absent.</summary>
    public string? OptionalWord(string name)
    {
        used.Add(name);
        if (!Has(name)) return null;
        return cells is not null ? cells[name].Trim() : WordOf(name, json![name]);
    }

    /// <summary>A finite number; null where absent.</summary>
    public double? OptionalNumber(string name)
    {
        used.Add(name);
        if (!Has(name)) return null;
        if (cells is null && json![name].ValueKind != JsonValueKind.Number)
        {
            Refuse(name, $"must be a number, not {Name(json[name].ValueKind)}.");
            return null;
        }

        string digits = cells is null ? json![name].GetRawText() : cells[name].Trim();
        if (double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number)) return number;
        Refuse(name, $"must be a finite number, not \"{Shorten(digits)}\".");
        return null;
    }

    /// <summary>A whole number from <paramref name="low"/> to <paramref name="high"/>; null where absent.</summary>
    public int? OptionalInt(string name, int low, int high)
    {
        double? number = OptionalNumber(name);
        if (number is null) return null;
        if (number == Math.Floor(number.Value) && number >= low && number <= high) return (int)number.Value;
        Refuse(name, $"must be a whole number from {low} to {high}, not {number.Value.ToString(CultureInfo.InvariantCulture)}.");
        return null;
    }

    /// <summary>A list of messages, in either spelling (role/content or from/value); null and a problem where it is not one.</summary>
    public IReadOnlyList<Message>? Messages(string name)
    {
        used.Add(name);
        if (!Find(name, "a list of messages", out JsonElement value, out string? cell)) return null;
        if (cell is null && value.ValueKind == JsonValueKind.Array) return Conversation.Read(this, name, value);
        Refuse(name, $"must be a list of messages, not {(cell is null ? Name(value.ValueKind) : "a text")}.");
        return null;
    }

    /// <summary>One message object; null and a problem where it is not one.</summary>
    public Message? SingleMessage(string name)
    {
        used.Add(name);
        if (!Find(name, "a message", out JsonElement value, out string? cell)) return null;
        if (cell is null && value.ValueKind == JsonValueKind.Object) return Conversation.ReadOne(this, name, value);
        Refuse(name, $"must be a message with a role and a text, not {(cell is null ? Name(value.ValueKind) : "a text")}.");
        return null;
    }

    /// <summary>The raw JSON of a field; null where absent or in CSV.</summary>
    public JsonElement? Element(string name)
    {
        used.Add(name);
        return json is not null && Has(name) ? json[name] : null;
    }

    /// <summary>Names of the fields that nobody asked for.</summary>
    public IEnumerable<string> Unused() => Names.Where(name => !used.Contains(name));

    /// <summary>Fields that nobody asked for: text as it is, anything else as JSON.</summary>
    public IReadOnlyDictionary<string, string> Rest()
    {
        var rest = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string name in Names)
        {
            if (used.Contains(name) || !Has(name)) continue;
            string? text = cells is not null ? CheckText(name, cells[name], mayBeEmpty: true)
                : json![name].ValueKind == JsonValueKind.String ? StringOf(name, json[name], mayBeEmpty: true) : json[name].GetRawText();
            if (text is not null) rest[name] = text;
        }

        return rest;
    }

    /// <summary>The string's text, checked; null and a problem where it is another type, half a surrogate, too long, NUL, or empty when it may not be.</summary>
    public string? StringOf(string name, JsonElement value, bool mayBeEmpty)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            Refuse(name, $"must be text, not {Name(value.ValueKind)}.");
            return null;
        }

        try
        {
            return CheckText(name, value.GetString()!, mayBeEmpty); // a String element is never null
        }
        catch (InvalidOperationException)
        {
            Refuse(name, "holds half a surrogate pair (\\uD800 to \\uDFFF), which is no character.");
            return null;
        }
    }

    /// <summary>How people call a kind of JSON value.</summary>
    public static string Name(JsonValueKind kind) => kind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => "a number",
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        JsonValueKind.Null or JsonValueKind.Undefined => "null",
    };

    /// <summary>At most 40 characters of a value, safe to put into a message.</summary>
    public static string Shorten(string text)
    {
        string line = text.ReplaceLineEndings(" ");
        if (line.Length <= 40) return line;
        return line[..(char.IsHighSurrogate(line[39]) ? 39 : 40)] + "…";
    }

    private string? CheckText(string name, string text, bool mayBeEmpty)
    {
        if (!mayBeEmpty && string.IsNullOrWhiteSpace(text))
        {
            Refuse(name, "is empty.");
            return null;
        }

        // A UTF-16 unit takes at most three bytes of UTF-8, so shorter texts need no counting.
        if (text.Length > options.MaxTextBytes / 3 && Encoding.UTF8.GetByteCount(text) is int bytes && bytes > options.MaxTextBytes)
        {
            Refuse(name, $"is {bytes:N0} bytes of text, more than {options.MaxTextBytes:N0}.");
            return null;
        }

        int nul = text.IndexOf('\0');
        if (nul < 0) return text;
        Refuse(name, $"holds a NUL character at position {nul + 1:N0}.");
        return null;
    }

    private string? WordOf(string name, JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.String) return StringOf(name, value, mayBeEmpty: true);
        if (value.ValueKind is JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False) return value.GetRawText();
        Refuse(name, $"must be a word, not {Name(value.ValueKind)}.");
        return null;
    }

    private bool Find(string name, string wanted, out JsonElement value, out string? cell)
    {
        (value, cell) = (default, null);
        if (cells is not null ? cells.TryGetValue(name, out cell) : json!.TryGetValue(name, out value)) return true;
        Refuse(name, $"is missing; it must be {wanted}.");
        return false;
    }
}
