using System.Text.Json;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Erasure;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;

namespace Portal.Tests.Web.Erasure;

/// <summary>Requests to erase in every state that pages show: one that waits, one whose job ended early, one that was refused, and one that is done, with its proof in the audit log.</summary>
internal sealed class SeededErasure
{
    private int number;

    public SeededErasure(SeededProject project, Guid by, Guid decider)
    {
        var annotator = project.Person($"plover-{project.Id.Value.ToString()[^6..]}");
        var (prompt, reward) = (project.Prompt("A prompt with somebody's address?"), project.Model(ModelKind.RewardModel, 601, "reward model"));
        var next = project.Model(ModelKind.RewardModel, 602, "erasure, Newton (its body still has to be trained again)", reward.Id);
        using (var db = project.Open())
            number = db.ErasureRequests.Max(r => (int?)r.Number) ?? 0;
        Waiting = Add(project, ErasureKind.AnnotatorLabels, annotator, by);
        Refused = Add(project, ErasureKind.AnnotatorLink, annotator, by);
        Stuck = Add(project, ErasureKind.AnnotatorLabels, annotator, by);
        Done = Add(project, ErasureKind.Prompts, null, by);
        project.Change(db =>
        {
            db.ErasurePrompts.Add(new ErasurePrompt { RequestId = Done, PromptId = prompt });
            db.Contents.Single(c => c.Id == db.Prompts.Single(p => p.Id == prompt).ContentId).Erase(project.Now);
            db.ModelVersions.Single(v => v.Id == reward.Id).Retire();
        });
        project.Change(db =>
        {
            Job Started(ErasureRequestId id, string note)
            {
                var job = AskForJob.Add(db, project.Ids.New<JobId>(), project.Id, new EraseData { RequestId = id }, null, decider, project.Now);
                job.Start(project.Now);
                if (db.ErasureRequests.Single(r => r.Id == id).Approve(decider, note, project.Now, () => job.Id) is { } problem)
                    throw new InvalidOperationException(problem.Message);
                db.SaveChanges();
                return job;
            }
            db.ErasureRequests.Single(r => r.Id == Refused).Refuse(decider, "The person means another portal.", project.Now);
            Started(Stuck, "Checked with the case file.").Fail("The database is read without a pause, so its log could not be emptied of old pages. What was to be erased is erased; run the request again, at a quieter time, to finish it.", project.Now);
            db.ErasureRequests.Single(r => r.Id == Stuck).Note(new ErasureWork { ClosedAt = project.Now });
            var done = Started(Done, "Case 2026-114.");
            var body = AskForJob.Add(db, project.Ids.New<JobId>(), project.Id, new TrainRewardModel(), null, null, project.Now);
            var request = db.ErasureRequests.Single(r => r.Id == Done);
            request.Finish(new ErasureProof(1, Done, request.Number, request.Kind, [project.Hasher.Hash("prompt")], request.RequestedAt, request.DecidedAt, project.Now, done.Number, [project.Hasher.Hash("one"), project.Hasher.Hash("two")],
                new SortedDictionary<string, int> { ["texts"] = 7, ["judgements"] = 2, ["dataset rows"] = 2, ["models retired"] = 1, ["names of files"] = 1 }, [], [new(reward.Id, reward.Label, ErasureProof.HashOf(reward))],
                [new(project.Id, ModelKind.RewardModel, reward.Id, next.Id, ErasureProof.HashOf(reward), ErasureProof.HashOf(next), 2, 3.1e-10, null, body.Id)], [new("exports", new string('e', 64), 52_114), new("logs", new string('a', 64), 8_211)],
                [new(new string('b', 64), project.Now, project.Now.AddDays(30))], "sqlite: vacuum, log truncated"), project.Now);
            done.Succeed($"/erasure/{Done}", project.Now);
            AuditChain.Append(db, project.Now, decider, ErasureProof.FinishAction, ErasureProof.EntityKind, $"{Done}", new { request.Number, proof = request.ProofSha256 });
        });
    }

    public ErasureRequestId Waiting { get; }
    public ErasureRequestId Refused { get; }
    public ErasureRequestId Stuck { get; }
    public ErasureRequestId Done { get; }

    private ErasureRequestId Add(SeededProject project, ErasureKind kind, AnnotatorId? annotator, Guid by)
    {
        var request = new ErasureRequest
        {
            Id = project.Ids.New<ErasureRequestId>(), ProjectId = project.Id, Number = ++number, Kind = kind, AnnotatorId = annotator, Reason = "Case 2026-114: consent was withdrawn.",
            RadiusJson = JsonSerializer.Serialize(new ErasureRadius(41, kind is ErasureKind.AnnotatorLink ? 0 : 1_204, 1, 3, kind is ErasureKind.AnnotatorLink ? 0 : 1_190, 2, 0, kind is ErasureKind.AnnotatorLink ? [] : ["reward model v601", "policy v7", "reward model v603"], kind is ErasureKind.AnnotatorLink ? [] : ["reward model v601"], 4, 1, 1)),
            RequestedBy = by, RequestedAt = project.Now,
        };
        project.Add(request);
        return request.Id;
    }
}
