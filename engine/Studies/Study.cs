using System.CommandLine;
using Portal.Engine.Recipes;

namespace Portal.Engine.Studies;

/// <summary>A claim about a method with all that is needed to check it again: run by <c>engine evidence NAME</c>, seed by seed.</summary>
/// <param name="Name">The verb behind <c>evidence</c>, and the folder of half-done runs.</param>
/// <param name="Description">One line for the help.</param>
/// <param name="Run">One seed: the rows of its table.</param>
/// <param name="Options">The study's own options; those that were typed stand in the command below its table.</param>
public sealed record Study(string Name, string Description, Func<StudyRun, long, IReadOnlyList<StudyRow>> Run, params IReadOnlyList<Option> Options);

/// <summary>What a study is given.</summary>
/// <param name="Arguments">Holds the values of the study's own options.</param>
/// <param name="Assets">The shipped demo.</param>
/// <param name="Work">Where half-done runs are kept.</param>
/// <param name="IsQuick">A miniature is wanted.</param>
public sealed record StudyRun(ParseResult Arguments, string Assets, string Work, bool IsQuick, IRecipeProgress Progress, CancellationToken Stop)
{
    /// <summary>Where sampled answers are kept, by what they are: several studies may share the folder. Otherwise beside the rest.</summary>
    public string Answers { get; init; } = Work;

    /// <summary>The context of one of the study's trainings.</summary>
    public RecipeContext Training(string name, long seed) =>
        new(Path.Combine(Work, name), Path.Combine(Work, name, "checkpoints"), seed, Progress, TimeProvider.System, Stop);
}
