using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Tests.Engine.Recipes;

namespace Portal.Tests.Engine.Jobs;

/// <summary>Votes of the toy world as rows of a project.</summary>
internal static class ToyVotes
{
    /// <summary>Two pairs of a prompt, each judged for the answer that says "please".</summary>
    public static void Add(PortalDbContext db, IdFactory ids, ContentHasher hasher, ProjectId project, AnnotatorId annotator, string words)
    {
        var now = TimeProvider.System.GetUtcNow();
        var content = Content(ContentKind.Prompt, Conversation.Serialize(ToyWorld.TurnsOf(words)));
        var prompt = new Prompt { Id = ids.New<PromptId>(), ProjectId = project, ContentId = content.Id, ContentHash = content.KeyedHash, CreatedAt = now };
        db.Prompts.Add(prompt);
        for (var variant = 0; variant < 2; variant++)
        {
            var (good, bad) = (Response(ToyWorld.Good(words, variant)), Response(ToyWorld.Bad(words, variant)));
            var task = AnnotationTask.Create(ids.New<TaskId>(), project, TaskKind.Pairwise, prompt.Id, good, bad, 1, now);
            task.CountVote();
            db.Tasks.Add(task);
            db.PairwiseJudgements.Add(new PairwiseJudgement
            {
                Id = ids.New<JudgementId>(), ProjectId = project, TaskId = task.Id, AnnotatorId = annotator, Source = JudgementSource.Person, SubmittedAt = now,
                Verdict = PairwiseVerdict.Preferred, PreferredResponseId = good, Strength = 2, LeftResponseId = good,
            });
        }

        ResponseId Response(string text)
        {
            var words = Content(ContentKind.Response, text);
            var response = new Response { Id = ids.New<ResponseId>(), ProjectId = project, PromptId = prompt.Id, ContentId = words.Id, ContentHash = words.KeyedHash, CreatedAt = now };
            db.Responses.Add(response);
            return response.Id;
        }

        Content Content(ContentKind kind, string text)
        {
            var row = new Content { Id = ids.New<ContentId>(), ProjectId = project, Kind = kind, Text = text, KeyedHash = hasher.Hash(text), CreatedAt = now };
            db.Contents.Add(row);
            return row;
        }
    }
}
