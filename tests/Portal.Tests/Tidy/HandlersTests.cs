using System.Reflection;
using System.Security.Claims;
using Portal.Data;
using Portal.Web.Accounts;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Tidy;

/// <summary>Only handlers check permissions, so each says which one (<c>[Needs]</c>) or why none (<c>[OpenToAll]</c>), and really asks <see cref="Access"/>.</summary>
/// <remarks>A handler is a public class of web with a public method that takes the person who asks, or that answers with an outcome.</remarks>
public sealed class HandlersTests
{
    private static readonly Assembly Web = typeof(Access).Assembly;

    /// <summary>What looks like a handler and is none, and why.</summary>
    private static readonly IReadOnlyDictionary<Type, string> NoHandlers = new Dictionary<Type, string>
    {
        [typeof(Access)] = "it is what handlers ask",
        [typeof(EngineClient)] = "speaks to the engine for handlers that have asked; knows no person",
        [typeof(CurrentFrame)] = "hands the person on to LoadFrame, which asks",
    };

    [Fact]
    public void Every_handler_names_its_permission()
    {
        var nameless = Handlers(Web).Where(IsNameless).Select(type => type.FullName).ToArray();

        Assert.True(nameless.Length == 0,
            $"{string.Join(", ", nameless)}: write [Needs(Permission...)] above the class and ask Access.Check first thing, or [OpenToAll(why)] where nobody can be known yet.");
    }

    [Fact]
    public void Every_handler_that_names_a_permission_asks_for_it()
    {
        var references = TypeReferences.Of(Web.Location);
        var silent = Silent(Handlers(Web), references).ToArray();

        Assert.True(silent.Length == 0, $"{string.Join(", ", silent)}: [Needs] is a label, Access.Check is the lock. Ask it before anything is read or written.");
    }

    /// <summary>The list is short on purpose: each entry is a way in for strangers.</summary>
    [Fact]
    public void Only_the_known_handlers_are_open_to_all()
    {
        var open = Handlers(Web).Where(type => type.GetCustomAttribute<OpenToAllAttribute>() is not null).ToArray();

        Assert.Equal(["AcceptInvitation", "SignIn"], open.Select(type => type.Name).Order());
        Assert.All(open, type => Assert.NotEmpty(type.GetCustomAttribute<OpenToAllAttribute>()!.Reason)); // they were chosen for having one
    }

    /// <summary>The scan finds the handlers that there are: a scan that sees none would be content.</summary>
    [Fact]
    public void The_scan_sees_handlers_of_every_shape()
    {
        var names = Handlers(Web).Select(type => type.Name).ToHashSet();

        Assert.Superset(new HashSet<string> { "SubmitJudgement", "ManagePeople", "NextTask", "CurrentProject", "SignIn", "ReleaseModel" }, names);
        Assert.DoesNotContain("Access", names);
    }

    [Theory]
    [InlineData(typeof(ForgetsToSay), true)]
    [InlineData(typeof(ForgetsToSayUnderAnotherVerb), true)]
    [InlineData(typeof(SaysAndAsks), false)]
    public void A_handler_without_a_label_is_caught(Type type, bool caught) => Assert.Equal(caught, IsHandler(type) && IsNameless(type));

    [Fact]
    public void A_handler_that_only_says_so_is_caught() =>
        Assert.Equal([typeof(SaysButDoesNotAsk).FullName!.Replace('+', '.')], // nested here
            Silent([typeof(SaysButDoesNotAsk), typeof(SaysAndAsks), typeof(PassesOn)], TypeReferences.Of(typeof(HandlersTests).Assembly.Location)));

    private static IEnumerable<Type> Handlers(Assembly assembly) => assembly.GetTypes().Where(type => type.IsPublic && IsHandler(type));

    private static bool IsHandler(Type type) =>
        type is { IsClass: true, IsAbstract: false } && !NoHandlers.ContainsKey(type) && !typeof(Microsoft.AspNetCore.Components.IComponent).IsAssignableFrom(type)
        && !typeof(Delegate).IsAssignableFrom(type)
        && type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly).Any(method =>
            Asks(method) && (method.GetParameters().Any(parameter => parameter.ParameterType == typeof(ClaimsPrincipal)) || IsOutcome(method.ReturnType)));

    /// <summary>Work that is done when it is called: an answer to wait for.</summary>
    private static bool Asks(MethodInfo method) => !method.IsSpecialName && method.ReturnType.IsGenericType && method.ReturnType.GetGenericTypeDefinition() == typeof(Task<>);

    private static bool IsOutcome(Type task) => task.GetGenericArguments()[0] is { IsGenericType: true } answer && answer.GetGenericTypeDefinition() == typeof(Outcome<>);

    private static bool IsNameless(Type type) => type.GetCustomAttribute<NeedsAttribute>() is null && type.GetCustomAttribute<OpenToAllAttribute>() is null;

    /// <summary>Handlers with a permission that ask neither Access nor another handler or check that does.</summary>
    private static IEnumerable<string> Silent(IEnumerable<Type> handlers, IReadOnlyDictionary<string, IReadOnlySet<string>> references)
    {
        var labelled = handlers.Where(type => type.GetCustomAttribute<NeedsAttribute>() is not null).Select(type => type.FullName!.Replace('+', '.')).ToList(); // no generic parameters
        var asking = references.Where(type => type.Value.Contains(typeof(Access).FullName!)).Select(type => type.Key).ToHashSet(StringComparer.Ordinal);
        return labelled.Where(name => !asking.Contains(name) && !references[name].Overlaps(labelled.Where(asking.Contains)));
    }

    // What the rules have to catch, and what they have to let pass.
    private sealed class ForgetsToSay
    {
        public Task<Outcome<int>> Handle(CancellationToken stop) => Task.FromResult<Outcome<int>>(stop.IsCancellationRequested ? 1 : 0);
    }

    private sealed class ForgetsToSayUnderAnotherVerb
    {
        public Task<int> Disable(ClaimsPrincipal user, CancellationToken stop) => Task.FromResult(stop.IsCancellationRequested ? 1 : user.Identities.Count());
    }

    [Needs(Permission.Vote)]
    private sealed class SaysButDoesNotAsk
    {
        public Task<Outcome<int>> Handle(ClaimsPrincipal user, CancellationToken stop) => Task.FromResult<Outcome<int>>(stop.IsCancellationRequested ? 1 : user.Identities.Count());
    }

    [Needs(Permission.Vote)]
    private sealed class SaysAndAsks(Access access)
    {
        public async Task<Outcome<Person>> Handle(ClaimsPrincipal user, CancellationToken stop) => await access.Check(user, Permission.Vote, stop);
    }

    [Needs(Permission.Vote)]
    private sealed class PassesOn(SaysAndAsks next)
    {
        public Task<Outcome<Person>> Handle(ClaimsPrincipal user, CancellationToken stop) => next.Handle(user, stop);
    }
}
