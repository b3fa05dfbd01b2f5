using System.Text;
using Microsoft.AspNetCore.Http;
using Portal.Engine.Serving;

namespace Portal.Tests.Engine.Serving;

/// <summary>Stands in for a policy in the tests of the door: says back what it was asked, one token a word. The model "slow" takes a second.</summary>
internal sealed class EchoGenerator : ITextGenerator
{
    public async Task<GenerationResult> Generate(GenerationRequest request, CancellationToken stop)
    {
        if (request.Model is not ("echo" or "slow"))
            throw new DoorRefusal(StatusCodes.Status404NotFound, $"There is no model {request.Model}.", "model");
        if (request.Model == "slow")
            await Task.Delay(1_000, stop);
        var words = (request.Text ?? request.Messages![^1].Content).Split(' ');
        var offset = 0;
        var tokens = words.Select((word, i) =>
        {
            var text = i == 0 ? word : " " + word;
            offset += text.Length;
            return new GeneratedToken(text, Encoding.UTF8.GetBytes(text), -0.5 * (i + 1), offset - text.Length,
                request.TopLogProbs > 0 ? [(text, Encoding.UTF8.GetBytes(text), -0.5 * (i + 1)), (" no", " no"u8.ToArray(), -3)] : []);
        }).ToList();
        return new GenerationResult(request.Model, words.Length,
            [.. Enumerable.Range(0, request.Count).Select(_ => new GeneratedText(string.Join(' ', words), true, request.TopLogProbs is null ? [] : tokens, words.Length))]);
    }
}
