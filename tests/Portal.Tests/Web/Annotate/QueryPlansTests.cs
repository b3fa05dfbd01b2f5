using System.Collections.Concurrent;
using System.Data.Common;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Web.Annotate;
using Portal.Web.Review;
using Xunit;

namespace Portal.Tests.Web.Annotate;

/// <summary>
/// What an annotator waits for must not grow with what is stored: on the way of a task from being taken to the receipt, no statement reads a whole
/// table and none sorts the tasks that wait. SQLite's own plan of each statement says so.
/// </summary>
public sealed partial class QueryPlansTests() : AnnotatingTests(null)
{
    [Fact]
    public async Task No_statement_between_a_task_and_its_receipt_reads_a_whole_table()
    {
        var project = Site.Seed.Project();
        for (var i = 0; i < 5; i++)
            Site.Seed.Task(project, $"Question {i}?", "a", "b");
        var person = Site.Person("one");
        var queue = new Queue(project, TaskKind.Pairwise);
        using var statements = new Statements(Database);

        var first = (await Take(person, project)).Value.AssignmentId!.Value;
        Assert.Null((await Site.Get<ShowAssignment>().Handle(person, project, first, Stop)).Refusal);
        Assert.Null((await Site.Get<SaveDraft>().Handle(person, first, "{}", Site.Clock.GetUtcNow(), Stop)).Refusal);
        var request = Tie(first);
        var second = (await Submit(person, request)).Value.Next.AssignmentId!.Value;
        Assert.True((await Submit(person, request)).Value.Replayed);
        Assert.Null((await Site.Get<UndoJudgement>().Handle(person, queue, Stop)).Refusal);
        Assert.Null((await Site.Get<ShowAssignment>().Handle(person, project, first, Stop)).Refusal);
        Assert.Null((await Submit(person, Tie(first))).Refusal);
        var left = (await Site.Get<SkipTask>().Handle(person, second, null, Stop)).Value;
        while (left.AssignmentId is { } next)
            left = (await Submit(person, Tie(next))).Value.Next;

        Assert.InRange(statements.Seen.Count, 20, 1_000);
        var offenders = Costly(statements.Seen);
        Assert.True(offenders.Count == 0, string.Join("\n\n", offenders));
    }

    /// <summary>The queue of flags: as many statements for twenty rows as for one, none of them over a whole table, and open flags in their order without sorting.</summary>
    [Fact]
    public async Task The_queue_of_flags_is_read_by_index_in_as_many_statements_however_many_there_are()
    {
        var project = Site.Seed.Project();
        var (person, reviewer) = (Site.Person("one"), Site.Person("reviewer", RoleNames.Reviewer));
        var counts = new List<int>();
        for (var i = 1; i <= 12; i++)
        {
            var task = Site.Seed.Task(project, $"Question {i}?", i % 3 == 0 ? "Same." : $"answer {i}");
            Site.Clock.Advance(TimeSpan.FromMinutes(5));
            Assert.Null((await Site.Get<FlagResponse>().Handle(person, new(Guid.CreateVersion7()), task.FirstResponseId, FlagReason.Nonsense, null, "judge", Stop)).Refusal);
            if (i is not (1 or 12))
                continue;
            using var statements = new Statements(Database);
            var list = (await Site.Get<ListFlags>().Handle(reviewer, FlagState.Open, null, Stop)).Value;
            Assert.Equal(i == 1 ? 1 : 9, list.Rows.Count);
            var shown = statements.Seen.Count;
            Assert.Null((await Site.Get<ListFlags>().Handle(reviewer, new FlagFilter(FlagState.Open, FlagReason.Nonsense), list.Rows[0].Id, Stop)).Refusal);
            Assert.Null((await Site.Get<ShowFlag>().Handle(reviewer, list.Rows[0].Id, Stop)).Refusal);
            Assert.Null((await Site.Get<ShowServiceTimes>().Handle(reviewer, Stop)).Refusal);
            counts.Add(shown);
            var offenders = Costly(statements.Seen);
            Assert.True(offenders.Count == 0, string.Join("\n\n", offenders));
            Assert.DoesNotContain(statements.Seen, statement => statement.CommandText.Contains("\"Alike\"", StringComparison.Ordinal) && Plan(statement).Any(line => line.StartsWith("USE TEMP B-TREE FOR ORDER BY", StringComparison.Ordinal)));
        }

        Assert.Equal(counts[0], counts[1]);
    }

    /// <summary>Negative control: a judgement looked up by what has no index.</summary>
    [Fact]
    public async Task A_statement_that_reads_a_whole_table_is_found()
    {
        using var statements = new Statements(Database);
        var id = new AssignmentId(Guid.NewGuid());
        await using (var db = Site.Open())
            await db.PairwiseJudgements.Where(j => j.AssignmentId == id).ToListAsync();

        Assert.StartsWith("PairwiseJudgements is read whole:", Assert.Single(Costly(statements.Seen)), StringComparison.Ordinal);
    }

    /// <summary>Negative control: the first of the tasks that wait, in an order no index has.</summary>
    [Fact]
    public async Task A_statement_that_sorts_the_waiting_tasks_is_found()
    {
        using var statements = new Statements(Database);
        var id = new ProjectId(Guid.NewGuid());
        await using (var db = Site.Open())
            await db.Tasks.Where(t => t.ProjectId == id && t.State == TaskState.Open && t.Kind == TaskKind.Pairwise).OrderByDescending(t => t.CreatedAt).FirstOrDefaultAsync();

        Assert.StartsWith("waiting tasks are sorted:", Assert.Single(Costly(statements.Seen)), StringComparison.Ordinal);
    }

    private string Database
    {
        get
        {
            using var db = Site.Open();
            return db.Database.GetConnectionString()!; // a relational database has one
        }
    }

    /// <summary>The statements whose plan scans a table (those of an installation's few projects and roles may), or walks the tasks that wait and sorts them.</summary>
    private List<string> Costly(IEnumerable<DbCommand> statements)
    {
        using var connection = new SqliteConnection(Database);
        connection.Open();
        var offenders = new List<string>();
        foreach (var statement in statements.DistinctBy(statement => statement.CommandText).Where(statement => !statement.CommandText.Contains("\nWHERE 0\n", StringComparison.Ordinal))) // what is asked for null has no rows
        {
            var plan = Plan(statement, connection);
            offenders.AddRange(from line in plan
                               let table = Scan().Match(line) is { Success: true } scan ? TableOf(scan.Groups[1].Value, statement.CommandText) : null
                               where table is not (null or "Projects" or "AspNetRoles")
                               select $"{table} is read whole: {statement.CommandText}");
            if (plan.Any(line => line.Contains("INDEX IX_Tasks_ProjectId_State", StringComparison.Ordinal)) && plan.Any(line => line.StartsWith("USE TEMP B-TREE FOR", StringComparison.Ordinal)))
                offenders.Add($"waiting tasks are sorted: {statement.CommandText}");
        }
        return offenders;
    }

    private List<string> Plan(DbCommand statement)
    {
        using var connection = new SqliteConnection(Database);
        connection.Open();
        return Plan(statement, connection);
    }

    /// <summary>SQLite's own plan.</summary>
    private static List<string> Plan(DbCommand statement, SqliteConnection connection)
    {
        using var explain = connection.CreateCommand();
        explain.CommandText = "EXPLAIN QUERY PLAN " + statement.CommandText;
        foreach (DbParameter parameter in statement.Parameters)
            explain.Parameters.AddWithValue(parameter.ParameterName, parameter.Value ?? DBNull.Value);
        var plan = new List<string>();
        using var lines = explain.ExecuteReader();
        while (lines.Read())
            plan.Add(lines.GetString(3));
        return plan;
    }

    /// <summary>The table behind a name in a plan; null for a subquery.</summary>
    private static string? TableOf(string name, string statement) =>
        statement.Contains($") AS \"{name}\"", StringComparison.Ordinal) ? null
        : Regex.Match(statement, $"\"(\\w+)\" AS \"{name}\"") is { Success: true } match ? match.Groups[1].Value : name;

    [GeneratedRegex(@"^SCAN (?!CONSTANT ROW)(\w+)")]
    private static partial Regex Scan();

    /// <summary>Every statement that EF Core sends to one database while this lives.</summary>
    private sealed class Statements : IObserver<DiagnosticListener>, IObserver<KeyValuePair<string, object?>>, IDisposable
    {
        private readonly ConcurrentQueue<DbCommand> seen = new();
        private readonly ConcurrentQueue<IDisposable> subscriptions = new();
        private readonly string database;

        public Statements(string database)
        {
            this.database = new SqliteConnectionStringBuilder(database).DataSource;
            subscriptions.Enqueue(DiagnosticListener.AllListeners.Subscribe(this));
        }

        public IReadOnlyCollection<DbCommand> Seen => seen;

        public void OnNext(DiagnosticListener value)
        {
            if (value.Name == DbLoggerCategory.Name)
                subscriptions.Enqueue(value.Subscribe(this, name => name == RelationalEventId.CommandExecuting.Name));
        }

        public void OnNext(KeyValuePair<string, object?> value)
        {
            // Other tests have databases of their own.
            if (value.Value is CommandEventData { Command: SqliteCommand { Connection.DataSource: var source } command } && source == database && Reads().IsMatch(command.CommandText))
                seen.Enqueue(Copy(command));
        }

        public void OnCompleted()
        {
        }

        public void OnError(Exception error)
        {
        }

        public void Dispose()
        {
            foreach (var subscription in subscriptions)
                subscription.Dispose();
        }

        /// <summary>The command is disposed of before it is looked at.</summary>
        private static SqliteCommand Copy(SqliteCommand command)
        {
            var copy = new SqliteCommand(command.CommandText);
            foreach (SqliteParameter parameter in command.Parameters)
                copy.Parameters.AddWithValue(parameter.ParameterName, parameter.Value ?? DBNull.Value);
            return copy;
        }
    }

    [GeneratedRegex(@"^\s*(SELECT|UPDATE|DELETE|WITH)\b")]
    private static partial Regex Reads();
}
