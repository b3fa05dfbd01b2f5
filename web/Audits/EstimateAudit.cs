using System.Security.Claims;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Shell;
using Portal.Web.Train;

namespace Portal.Web.Audits;

/// <summary>What an audit would find and how much it has to do, before it runs.</summary>
public sealed record AuditEstimate(AuditPowerResponse Power, AuditWork Work);

/// <summary>Asks the engine what an audit of this size could find.</summary>
[Needs(Permission.Audit)]
public sealed class EstimateAudit(Access access, EngineClient engine)
{
    /// <returns>Or why there is no estimate: the fields that it rests on are wrong, the project has no prompts, or the engine is not running.</returns>
    public async Task<Outcome<AuditEstimate>> Handle(ClaimsPrincipal user, ProjectId project, AuditReward spec, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (SpecChecks.Of(spec) is { Count: > 0 } problems)
            return new Refusal(problems);
        var (audited, @base) = (spec.AuditedId?.ToString(), spec.BaseEndpointId is null ? spec.BaseId?.ToString() : null);
        var first = await engine.AuditPower(new AuditPowerRequest($"{project}", audited, @base, spec.PromptsMax), stop);
        if (first.Refusal is { } failed)
            return failed;
        var available = spec.PromptSource is AuditPromptSource.HeldOut ? first.Value.PromptsHeldOut : first.Value.PromptsAll;
        if (available == 0)
            return new Problem("promptSource", first.Value.PromptsAll == 0 ? "The project has no prompts to ask. Import some first." : "No prompt of the project is held out. Ask all of them, or add prompts.", ProblemKind.NotFound);
        var work = AuditWork.Of(spec, available);
        if (work.Prompts == first.Value.Pairs)
            return new AuditEstimate(first.Value, work);
        var second = await engine.AuditPower(new AuditPowerRequest($"{project}", audited, @base, work.Prompts), stop); // fewer prompts than were asked for
        return second.Refusal is { } gone ? gone : new AuditEstimate(second.Value, work);
    }
}
