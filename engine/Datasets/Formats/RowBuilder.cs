namespace Portal.Engine.Datasets.Formats;

/// <summary>The last step that all formats share: extra columns of the portal, the rules for responses, and the finished row.</summary>
internal static class RowBuilder
{
    /// <summary>A prompt without responses.</summary>
    public static ParsedRow? Prompt(RowFields fields, IReadOnlyList<Message> prompt, string? source = "source")
    {
        string? from = source is null ? null : fields.OptionalId(source);
        IReadOnlyDictionary<string, string> extra = fields.Rest();
        return fields.Failed ? null : new ParsedRow { RowNumber = fields.Row, Kind = RowKind.Prompt, Prompt = prompt, Source = from, Extra = extra };
    }

    /// <summary>
    /// Two responses, with a verdict (Preference) or without (UnlabelledPair). Reads the portal's extra columns: <c>annotator</c>, <c>strength</c>,
    /// <c>margin</c>, <c>presented_left</c> (the name of the column that was on the left), <c>tie</c>, <c>source</c>.
    /// </summary>
    public static ParsedRow? Pair(RowFields fields, IReadOnlyList<Message> prompt, string first, string second, PairVerdict? verdict, string firstName, string secondName)
    {
        CheckDifferent(fields, first, second, firstName, secondName);
        string? annotator = fields.OptionalId("annotator");
        int? strength = fields.OptionalInt("strength", 1, 3);
        double? margin = fields.OptionalNumber("margin");
        bool? left = PresentedLeft(fields, firstName, secondName);
        if (verdict is not null && fields.Has("tie") && fields.Bool("tie", lenient: true) == true) verdict = PairVerdict.Tie;
        string? source = fields.OptionalId("source");
        IReadOnlyDictionary<string, string> extra = fields.Rest();
        if (fields.Failed) return null;
        return new ParsedRow
        {
            RowNumber = fields.Row, Kind = verdict is null ? RowKind.UnlabelledPair : RowKind.Preference, Prompt = prompt, Responses = [first, second],
            Pair = verdict, Strength = verdict is PairVerdict.FirstBetter or PairVerdict.SecondBetter ? strength : null, Margin = margin,
            Annotator = annotator, FirstShownLeft = left, Source = source, Extra = extra,
        };
    }

    /// <summary>One response with a verdict. Reads the extra columns <c>annotator</c> and <c>source</c>.</summary>
    public static ParsedRow? Binary(RowFields fields, IReadOnlyList<Message> prompt, string response, BinaryVerdict verdict)
    {
        string? annotator = fields.OptionalId("annotator");
        string? source = fields.OptionalId("source");
        IReadOnlyDictionary<string, string> extra = fields.Rest();
        if (fields.Failed) return null;
        return new ParsedRow
        {
            RowNumber = fields.Row, Kind = RowKind.Binary, Prompt = prompt, Responses = [response], Binary = verdict,
            Annotator = annotator, Source = source, Extra = extra,
        };
    }

    /// <summary>Writes a problem where the two responses are the same but for white space at their ends.</summary>
    public static void CheckDifferent(RowFields fields, string first, string second, string firstName, string secondName)
    {
        if (first.AsSpan().Trim().SequenceEqual(second.AsSpan().Trim())) fields.Refuse(secondName, $"is the same text as `{firstName}`: there is nothing to prefer.");
    }

    /// <summary>The verdict that a word names, or null and a problem.</summary>
    public static PairVerdict? PairVerdictOf(RowFields fields, string field, string? word)
    {
        PairVerdict? verdict = (word ?? "").Trim().ToLowerInvariant() switch
        {
            "a" or "left" or "first" or "1" or "x" or "response_a" or "model_a" or "model_x" or "response1" or "response_1" => PairVerdict.FirstBetter,
            "b" or "right" or "second" or "2" or "y" or "response_b" or "model_b" or "model_y" or "response2" or "response_2" => PairVerdict.SecondBetter,
            "tie" or "equal" or "same" => PairVerdict.Tie,
            "both_good" or "both good" or "bothgood" => PairVerdict.BothGood,
            "both_bad" or "both bad" or "bothbad" or "tie (bothbad)" or "neither" => PairVerdict.BothBad,
            "cannot_judge" or "cannot judge" or "unsure" => PairVerdict.CannotJudge,
            _ => null,
        };
        if (verdict is null)
        {
            fields.Refuse(field, string.IsNullOrWhiteSpace(word) ? "is empty; it must say which response is better."
                : $"is \"{RowFields.Shorten(word)}\"; known are a, b (or left, right, 1, 2), tie, both_good, both_bad and cannot_judge.");
        }

        return verdict;
    }

    /// <summary>The verdict that a label names: true/false in JSON; in CSV or a mapped column also 1/0, yes/no, good/bad/unsure.</summary>
    public static BinaryVerdict? BinaryVerdictOf(RowFields fields, string field, bool lenient)
    {
        if (!fields.Has(field))
        {
            fields.Refuse(field, "is missing; it must be true or false.");
            return null;
        }

        if (lenient || fields.IsCsv)
        {
            switch (fields.OptionalWord(field)?.Trim().ToLowerInvariant())
            {
                case "good" or "up": return BinaryVerdict.Good;
                case "bad" or "down": return BinaryVerdict.Bad;
                case "unsure": return BinaryVerdict.Unsure;
            }
        }

        return fields.Bool(field, lenient) switch { true => BinaryVerdict.Good, false => BinaryVerdict.Bad, null => null };
    }

    private static bool? PresentedLeft(RowFields fields, string firstName, string secondName)
    {
        string? word = fields.OptionalWord("presented_left");
        if (string.IsNullOrEmpty(word)) return null;
        if (word == firstName) return true;
        if (word == secondName) return false;
        fields.Refuse("presented_left", $"is \"{RowFields.Shorten(word)}\"; it must name the column that was shown on the left, {firstName} or {secondName}.");
        return null;
    }
}
