using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Portal.Data.Endpoints;
using Portal.Engine;
using Portal.Engine.Endpoints;
using Xunit;

namespace Portal.Tests.Engine.Endpoints;

/// <summary>No endpoint leads into this machine or its network, whatever its name; what an operator allows by name does. The blocks are those of IANA's special-purpose registries.</summary>
public sealed class AddressGuardTests
{
    private static readonly IPAddress Public = IPAddress.Parse("93.184.216.34");

    public static TheoryData<string> Inside =>
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.9.9.9", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
        "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "febf::1", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "100::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1", "5f00::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "4000::1",
    ];

    [Theory]
    [MemberData(nameof(Inside))]
    public async Task An_address_that_is_not_public_is_refused_by_number_and_behind_a_name(string inside)
    {
        var ip = IPAddress.Parse(inside);
        Assert.False(AddressGuard.IsPublic(ip));
        var guard = new AddressGuard([]);

        var byNumber = await Assert.ThrowsAsync<EndpointRefused>(() => guard.Resolve(Address(ip.AddressFamily is AddressFamily.InterNetworkV6 ? $"http://[{inside}]:8000/v1" : $"http://{inside}:8000/v1"), NoNames, default));
        Assert.Contains(AddressGuard.Variable, byNumber.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<EndpointRefused>(() => guard.Resolve(Address("https://models.example/v1"), (_, _) => Task.FromResult(new[] { ip }), default));
        await Assert.ThrowsAsync<EndpointRefused>(() => guard.Resolve(Address("https://models.example/v1"), (_, _) => Task.FromResult(new[] { Public, ip }), default)); // one honest address beside it
    }

    /// <summary>Negative control of the table: public addresses pass, among them neighbours of the blocks.</summary>
    [Theory]
    [InlineData("93.184.216.34")]
    [InlineData("9.255.255.255")]
    [InlineData("11.0.0.0")]
    [InlineData("100.63.255.255")]
    [InlineData("100.128.0.0")]
    [InlineData("128.0.0.1")]
    [InlineData("169.253.255.255")]
    [InlineData("172.15.255.255")]
    [InlineData("172.32.0.0")]
    [InlineData("192.167.255.255")]
    [InlineData("223.255.255.255")]
    [InlineData("2606:2800:220:1:248:1893:25c8:1946")]
    [InlineData("2001:4860:4860::8888")]
    [InlineData("::ffff:93.184.216.34")]
    public async Task A_public_address_passes(string address)
    {
        var ip = IPAddress.Parse(address);

        Assert.True(AddressGuard.IsPublic(ip));
        Assert.Equal([ip], await new AddressGuard([]).Resolve(Address("https://models.example/v1"), (_, _) => Task.FromResult(new[] { ip }), default));
    }

    /// <summary>Other ways to write 127.0.0.1 are the same address.</summary>
    [Theory]
    [InlineData("http://2130706433/v1")]
    [InlineData("http://0x7f.0.0.1/v1")]
    [InlineData("http://0177.0.0.1/v1")]
    [InlineData("http://127.1/v1")]
    [InlineData("http://[::ffff:7f00:1]/v1")]
    public async Task A_disguised_address_is_refused(string url) =>
        await Assert.ThrowsAsync<EndpointRefused>(() => new AddressGuard([]).Resolve(Address(url), (host, _) => Task.FromResult(new[] { IPAddress.Parse(host) }), default));

    [Fact]
    public async Task What_the_operator_allows_by_host_and_port_passes_and_nothing_beside_it()
    {
        var guard = AddressGuard.Parse(" Models.lan:8000 , [::1]:9000,10.0.0.5:443 ");

        Assert.Equal([IPAddress.Loopback], await guard.Resolve(Address("http://models.LAN:8000/v1"), (_, _) => Task.FromResult(new[] { IPAddress.Loopback }), default));
        Assert.Equal([IPAddress.IPv6Loopback], await guard.Resolve(Address("http://[::1]:9000"), NoNames, default));
        Assert.Equal([IPAddress.Parse("10.0.0.5")], await guard.Resolve(Address("https://10.0.0.5/v1"), NoNames, default));
        foreach (var beside in new[] { "http://models.lan:8001/v1", "http://[::1]:9001", "http://10.0.0.5/v1", "http://127.0.0.1:8000/v1" })
            await Assert.ThrowsAsync<EndpointRefused>(() => guard.Resolve(Address(beside), (_, _) => Task.FromResult(new[] { IPAddress.Loopback }), default));
        Assert.Empty(AddressGuard.Parse(null).Allowed);
    }

    [Theory]
    [InlineData("models.lan")]
    [InlineData("http://models.lan:80")]
    [InlineData("models.lan:0")]
    [InlineData("models.lan:70000")]
    [InlineData(":80")]
    [InlineData("a@b:80")]
    public void An_entry_that_is_no_host_and_port_is_named(string entry) =>
        Assert.Contains($"\"{entry}\"", Assert.Throws<InvalidOperationException>(() => AddressGuard.Parse($"fine.example:443,{entry}")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("ftp://models.example/v1")]
    [InlineData("file:///etc/passwd")]
    [InlineData("https://name:word@models.example/v1")]
    [InlineData("https://@models.example/v1")]
    [InlineData("https://models.example/v1?to=1")]
    [InlineData("https://models.example/v1#here")]
    [InlineData("models.example/v1")]
    [InlineData("https://")]
    [InlineData("")]
    [InlineData("https://models.example/v1/chat/completions")]
    public void An_address_that_says_more_or_less_than_it_should_is_refused_by_field(string url) => Assert.NotNull(EndpointAddress.Parse(url).Refusal?.About("baseUrl"));

    [Fact]
    public async Task A_private_address_is_never_connected_to()
    {
        await using var server = await EndpointServer.Start();
        using var policy = server.Policy(guard: new AddressGuard([]), key: null);

        var refused = await Assert.ThrowsAsync<CannotTrain>(() => policy.Complete(EndpointServer.Prompts(1), new EndpointSampling { Completions = 1 }, TextOrigin.Program, null, default));

        Assert.Contains("127.0.0.1", refused.Message, StringComparison.Ordinal);
        Assert.Empty(server.Asked);
        using var allowed = server.Policy(key: null); // the control: the same server, allowed by name
        Assert.Equal(1, (await allowed.Complete(EndpointServer.Prompts(1), new EndpointSampling { Completions = 1 }, TextOrigin.Program, null, default)).Counts.Answered);
    }

    /// <summary>A name that answers a public address first and this machine the next time: the connection goes to the address that was looked at, and the next connection is refused.</summary>
    [Fact]
    public async Task A_name_that_changes_its_address_gains_nothing()
    {
        await using var server = await EndpointServer.Start();
        server.Answer = (http, request, _) =>
        {
            http.Response.Headers.Connection = "close"; // the next request needs a connection of its own
            return EndpointServer.Json(http, EndpointServer.Choices(request));
        };
        var (resolved, connected) = (0, new ConcurrentQueue<IPEndPoint>());
        var network = new EndpointNetwork
        {
            Resolve = (_, _) => Task.FromResult(new[] { Interlocked.Increment(ref resolved) == 1 ? Public : IPAddress.Loopback }),
            Connect = async (to, stop) =>
            {
                connected.Enqueue(to);
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(IPAddress.Loopback, server.Port, stop); // stands in for the public machine
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        using var policy = server.Policy(server.Endpoint(s => s with { ParallelRequests = 1 }, url: "http://models.example:8000/v1"), guard: new AddressGuard([]), network: network, key: null);
        var sampling = new EndpointSampling { Completions = 1 };

        Assert.Equal(1, (await policy.Complete(EndpointServer.Prompts(1), sampling, TextOrigin.Program, null, default)).Counts.Answered);
        await Assert.ThrowsAsync<CannotTrain>(() => policy.Complete(EndpointServer.Prompts(1), sampling, TextOrigin.Program, null, default));

        Assert.Equal([new IPEndPoint(Public, 8000)], connected);
        Assert.Equal(2, resolved); // once a connection
        Assert.Single(server.Asked);
    }

    private static EndpointAddress Address(string url) => EndpointAddress.Parse(url).Value;

    private static Task<IPAddress[]> NoNames(string host, CancellationToken stop) => throw new InvalidOperationException($"{host} is a number and was looked up.");
}
