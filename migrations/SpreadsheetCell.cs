namespace Portal.Data;

/// <summary>Texts of other people on their way into a CSV file that somebody may open in a spreadsheet.</summary>
public static class SpreadsheetCell
{
    /// <summary>The cell with an apostrophe before it where a spreadsheet would take it for a formula (also behind white space, which some programs trim).</summary>
    public static string Guard(string cell)
    {
        if (cell.Length == 0)
            return cell;
        var start = cell.AsSpan().TrimStart();
        var isRisky = cell[0] is '\t' or '\r' or '\n' || (start.Length > 0 && start[0] is '=' or '+' or '-' or '@' or '＝' or '＋' or '－' or '＠');
        return isRisky ? "'" + cell : cell;
    }
}
