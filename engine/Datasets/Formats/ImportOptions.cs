using System.ComponentModel.DataAnnotations;

namespace Portal.Engine.Datasets.Formats;

/// <summary>The kinds of file that the portal reads. The container (lines, one array, CSV) is found out separately.</summary>
public enum ImportFormat
{
    /// <summary>TRL preference: <c>[prompt,] chosen, rejected</c>, text or messages.</summary>
    TrlPreference,

    /// <summary>TRL unpaired: <c>prompt, completion, label</c>, text or messages.</summary>
    TrlUnpaired,

    /// <summary>TRL prompt-only: <c>prompt</c>, text or messages.</summary>
    TrlPromptOnly,

    /// <summary>HH-RLHF: <c>chosen, rejected</c> as whole "\n\nHuman: … \n\nAssistant: …" transcripts.</summary>
    HhTranscripts,

    /// <summary><c>prompt, response_a, response_b</c> [, <c>verdict</c>].</summary>
    UnlabelledPairs,

    /// <summary>LLaMA-Factory's ShareGPT preference: <c>conversations, chosen, rejected</c>.</summary>
    ShareGptPreference,

    /// <summary>A whole conversation with a verdict on its last turn: <c>messages, label</c> (or <c>conversations, kto_tag</c>).</summary>
    MessagesWithLabel,

    /// <summary>Columns named by the person, through <see cref="ImportOptions.Mapping"/>.</summary>
    MappedColumns,

    /// <summary>The portal's own lossless JSONL.</summary>
    PortalJsonl,
}

/// <summary>How rows lie in the file.</summary>
public enum RowContainer { JsonLines, JsonArray, Csv }

/// <summary>Which of the file's columns means what. Null: the file has no such column.</summary>
public sealed record ColumnMapping
{
    /// <summary>What the rows are to become.</summary>
    public required RowKind Kind { get; init; }

    /// <summary>The prompt, always needed.</summary>
    public required string Prompt { get; init; }

    /// <summary>A second part of the prompt, appended after an empty line where it is not empty (Alpaca's <c>input</c>).</summary>
    public string? PromptContext { get; init; }

    /// <summary>A system message.</summary>
    public string? System { get; init; }

    /// <summary>Preference: the better response. With <see cref="Verdict"/>, and for unlabelled pairs, the first one.</summary>
    public string? First { get; init; }

    /// <summary>Preference: the worse response. With <see cref="Verdict"/>, and for unlabelled pairs, the second one.</summary>
    public string? Second { get; init; }

    /// <summary>Preference: which is better (a, b, left, right, tie, both_bad, …). Null: the first always is.</summary>
    public string? Verdict { get; init; }

    /// <summary>Binary: the response.</summary>
    public string? Completion { get; init; }

    /// <summary>Binary: true/false, 1/0, good/bad/unsure.</summary>
    public string? Label { get; init; }

    /// <summary>Pseudonym of who judged.</summary>
    public string? Annotator { get; init; }

    /// <summary>1 to 3.</summary>
    public string? Strength { get; init; }

    /// <summary>A number.</summary>
    public string? Margin { get; init; }

    /// <summary>Where the row comes from.</summary>
    public string? Source { get; init; }

    /// <summary>Every column that the mapping names.</summary>
    public IEnumerable<string> Named() =>
        new[] { Prompt, PromptContext, System, First, Second, Verdict, Completion, Label, Annotator, Strength, Margin, Source }.OfType<string>();
}

/// <summary>Choices and limits of one import. The limits are there against accidents and attacks; every one names itself when it is hit.</summary>
public sealed record ImportOptions
{
    /// <summary>Null: found out from the content.</summary>
    public ImportFormat? Format { get; init; }

    /// <summary>Null: the format's own column names.</summary>
    public ColumnMapping? Mapping { get; init; }

    /// <summary>Longest text of one field, in bytes of UTF-8. Default 1 MiB: far above what a model of this portal can read.</summary>
    [Range(1, 64 << 20)]
    public int MaxTextBytes { get; init; } = 1 << 20;

    /// <summary>Longest row in bytes, all fields and markup together; also bounds the reader's memory. Default 8 MiB.</summary>
    [Range(16, 256 << 20)]
    public int MaxRowBytes { get; init; } = 8 << 20;

    /// <summary>Most bytes read from one file after decompression. Default 4 GiB.</summary>
    [Range(1, long.MaxValue)]
    public long MaxFileBytes { get; init; } = 4L << 30;

    /// <summary>Highest plausible compression: beyond <see cref="RatioGraceBytes"/>, output above this many times the input is taken for a
    /// zip bomb. Default 200 (JSONL of real text reaches 3 to 30; deflate's maximum is 1,032).</summary>
    [Range(1, 2000)]
    public int MaxCompressionRatio { get; init; } = 200;

    /// <summary>Decompressed bytes that are allowed whatever the ratio, since short repetitive files compress well. Default 4 MiB.</summary>
    [Range(0, long.MaxValue)]
    public long RatioGraceBytes { get; init; } = 4 << 20;

    /// <summary>Deepest nesting of JSON in a row. Default 32.</summary>
    [Range(2, 512)]
    public int MaxJsonDepth { get; init; } = 32;

    /// <summary>Most columns in a row. Default 256.</summary>
    [Range(1, 10_000)]
    public int MaxColumns { get; init; } = 256;

    /// <summary>Mark rows that repeat an earlier row of the file; costs about 50 bytes of memory a row. Default on.</summary>
    public bool FindDuplicates { get; init; } = true;

    /// <summary>Rows shown by a preview. Default 20.</summary>
    [Range(1, 1000)]
    public int PreviewRows { get; init; } = 20;

    /// <summary>Rows looked at by a preview. Default 1,000.</summary>
    [Range(1, 1_000_000)]
    public int PreviewScanRows { get; init; } = 1000;
}
