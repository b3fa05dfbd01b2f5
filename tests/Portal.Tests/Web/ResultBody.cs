using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Portal.Tests.Web;

/// <summary>What a result of an endpoint writes, read without a server.</summary>
internal static class ResultBody
{
    /// <summary>Its status and its text.</summary>
    public static async Task<(int Status, string Text)> Read(IResult result)
    {
        await using var services = new ServiceCollection().AddLogging().BuildServiceProvider();
        var http = new DefaultHttpContext { RequestServices = services };
        using var body = new ResponseBody();
        http.Response.Body = body;
        await result.ExecuteAsync(http);
        return (http.Response.StatusCode, Encoding.UTF8.GetString(body.ToArray()));
    }

    /// <summary>Memory that takes writes as a server's response does: none that block a thread.</summary>
    private sealed class ResponseBody : MemoryStream
    {
        private static InvalidOperationException Refused => new("Synchronous operations are disallowed.");

        public override void Flush() => throw Refused;

        public override void Write(byte[] buffer, int offset, int count) => throw Refused;

        public override void Write(ReadOnlySpan<byte> buffer) => throw Refused;

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken stop)
        {
            base.Write(buffer, offset, count);
            return Task.CompletedTask;
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken stop = default)
        {
            base.Write(buffer.ToArray(), 0, buffer.Length); // the other overload asks this class again
            return ValueTask.CompletedTask;
        }

        public override Task FlushAsync(CancellationToken stop) => Task.CompletedTask;
    }
}
