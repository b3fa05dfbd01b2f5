using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;

namespace Portal.Data.AuditLog;

/// <summary>Appends to and verifies the audit chain.</summary>
public static class AuditChain
{
    private static readonly string Genesis = new('0', 64);

    /// <summary>
    /// Adds an event after the last one. Call it inside the write transaction of the change it tells of: either both are stored or neither.
    /// </summary>
    /// <param name="payload">Serialised to JSON; ids, counts and keyed hashes only. Null for none.</param>
    public static AuditEvent Append(PortalDbContext db, DateTimeOffset at, Guid? actor, string action, string entityKind, string entityId,
        object? payload = null)
    {
        db.LockAuditChain();
        var last = db.AuditEvents.Local.OrderByDescending(e => e.Sequence).FirstOrDefault()
            ?? db.AuditEvents.AsNoTracking().OrderByDescending(e => e.Sequence).FirstOrDefault();
        // Stored times have microseconds on Postgres and 100 ns on SQLite: hash what both keep.
        var stamp = new DateTimeOffset(at.UtcTicks - at.UtcTicks % TimeSpan.TicksPerMillisecond, TimeSpan.Zero);
        var row = new AuditEvent
        {
            Sequence = (last?.Sequence ?? 0) + 1,
            At = stamp,
            Actor = actor,
            Action = action,
            EntityKind = entityKind,
            EntityId = entityId,
            PayloadJson = payload is null ? "{}" : JsonSerializer.Serialize(payload),
            PreviousHash = last?.Hash ?? Genesis,
            Hash = "",
        };
        row = Sealed(row);
        db.AuditEvents.Add(row);
        return row;
    }

    /// <summary>Walks the whole chain in order.</summary>
    /// <returns>How many events stand, and the first thing that is wrong; null when nothing is.</returns>
    public static AuditVerdict Verify(IEnumerable<AuditEvent> eventsInOrder)
    {
        var previous = Genesis;
        long expected = 1;
        foreach (var e in eventsInOrder)
        {
            if (e.Sequence != expected)
                return new AuditVerdict(expected - 1, $"Event {expected} is missing: after {expected - 1} comes {e.Sequence}.");
            if (e.PreviousHash != previous)
                return new AuditVerdict(expected - 1, $"Event {e.Sequence} does not follow the event before it: one of the two was replaced.");
            if (HashOf(e) != e.Hash)
                return new AuditVerdict(expected - 1, $"Event {e.Sequence} ({e.Action}) was changed after it was written.");
            previous = e.Hash;
            expected++;
        }
        return new AuditVerdict(expected - 1, null);
    }

    /// <summary>Whether an event is as it was written. That none before it is missing is told by <see cref="Verify"/> alone.</summary>
    public static bool Stands(AuditEvent e) => HashOf(e) == e.Hash;

    private static AuditEvent Sealed(AuditEvent e) => new()
    {
        Sequence = e.Sequence, At = e.At, Actor = e.Actor, Action = e.Action, EntityKind = e.EntityKind, EntityId = e.EntityId,
        PayloadJson = e.PayloadJson, PreviousHash = e.PreviousHash, Hash = HashOf(e),
    };

    private static string HashOf(AuditEvent e)
    {
        // Length-prefixed, so that no two different rows read the same.
        var text = new StringBuilder();
        foreach (var field in new[]
                 {
                     e.Sequence.ToString(CultureInfo.InvariantCulture), e.At.ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture),
                     e.Actor?.ToString() ?? "", e.Action, e.EntityKind, e.EntityId, e.PayloadJson, e.PreviousHash,
                 })
            text.Append(CultureInfo.InvariantCulture, $"{field.Length}:{field};");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }
}

/// <summary>What a walk over the audit chain found.</summary>
/// <param name="Intact">How many events stand unbroken from the first.</param>
/// <param name="Problem">What is wrong after them; null when the chain is whole.</param>
public sealed record AuditVerdict(long Intact, string? Problem);
