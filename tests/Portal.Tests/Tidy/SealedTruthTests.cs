using System.Collections.Immutable;
using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;
using Portal.Engine.TinyAssistant;
using Xunit;

namespace Portal.Tests.Tidy;

/// <summary>
/// The true reward of the demo world stays sealed: a method that could read r* would be measured against itself.
/// </summary>
/// <remarks>
/// Reads the metadata of the built engine: base types, fields, signatures, locals, attributes and every token inside a
/// method body, for types of the same assembly and of others. What a lambda uses counts for the type around it.
/// </remarks>
public sealed class SealedTruthTests
{
    private const string Home = "Portal.Engine.TinyAssistant";
    private static readonly string[] sealedTypes = [$"{Home}.SealedTruth", $"{Home}.TruthScorer"];

    [Fact]
    public void No_engine_type_outside_TinyAssistant_refers_to_the_sealed_truth()
    {
        var offenders = TypesReferringTo(typeof(World).Assembly.Location, sealedTypes).Where(type => !IsAtHome(type)).ToArray();

        Assert.True(offenders.Length == 0,
            $"{string.Join(", ", offenders)}: r* is sealed. Take the reward as a delegate (PolicyRewards.For, handed in by the caller), or move the code that needs the truth under engine/TinyAssistant.");
    }

    /// <summary>Recovered rewards and audits may not see the known policies' rewards either: they are what is to be recovered.</summary>
    [Fact]
    public void Methods_under_test_do_not_refer_to_the_policies_rewards()
    {
        string[] under = ["Irl", "Influence", "Sae", "Unlearning", "Agreement", "Evaluation", "Recipes"];
        var offenders = TypesReferringTo(typeof(World).Assembly.Location, [$"{Home}.PolicyRewards", $"{Home}.SealedJudgement"])
            .Where(type => under.Any(folder => type.StartsWith($"Portal.Engine.{folder}.", StringComparison.Ordinal))).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}: take the reward as a delegate instead.");
    }

    /// <summary>The scanner has eyes: inside the folder it finds those that are known to use the truth.</summary>
    [Fact]
    public void The_scanner_finds_the_known_users()
    {
        var users = TypesReferringTo(typeof(World).Assembly.Location, sealedTypes).ToHashSet();

        Assert.Contains($"{Home}.TruthScorer", users);
        Assert.Contains($"{Home}.SimulatedAnnotators", users);
        Assert.Contains($"{Home}.PolicyRewards", users);
        Assert.DoesNotContain($"{Home}.Grader", users);
        Assert.DoesNotContain($"{Home}.World", users);
    }

    /// <summary>Negative controls: each of the ways of reaching the truth below is caught, and the innocent class is not.</summary>
    [Theory]
    [InlineData(nameof(ReadsAField), true)]
    [InlineData(nameof(CallsFromALambda), true)]
    [InlineData(nameof(HoldsAMethodGroup), true)]
    [InlineData(nameof(NamesTheTypeOnly), true)]
    [InlineData(nameof(TakesADelegate), false)]
    public void A_reference_from_elsewhere_is_caught(string type, bool caught)
    {
        var users = TypesReferringTo(typeof(SealedTruthTests).Assembly.Location, sealedTypes);

        Assert.Equal(caught, users.Contains($"Portal.Tests.Tidy.{nameof(SealedTruthTests)}.{type}"));
    }

    /// <summary>A constant is copied into its users and leaves no trace, so the scanner would be blind to it.</summary>
    [Fact]
    public void The_sealed_constants_are_fields_not_literals() =>
        Assert.DoesNotContain(typeof(SealedTruth).GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic), field => field.IsLiteral);

    [Fact]
    public void The_sealed_types_are_not_public()
    {
        Assert.False(typeof(SealedTruth).IsPublic);
        Assert.False(typeof(TruthScorer).IsPublic);
    }

    private static bool IsAtHome(string type) => type.StartsWith(Home + ".", StringComparison.Ordinal);

    /// <summary>Full names of all types of an assembly that refer to one of the targets; nested types count themselves and those around them.</summary>
    private static HashSet<string> TypesReferringTo(string assemblyPath, IReadOnlyCollection<string> targets)
    {
        using var file = new PEReader(File.OpenRead(assemblyPath));
        return new ReferenceScanner(file, targets).Scan();
    }

    private sealed class ReferenceScanner(PEReader file, IReadOnlyCollection<string> targets)
    {
        private static readonly Dictionary<int, OperandType> operands = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
            .Select(field => (OpCode)field.GetValue(null)!) // every public field of OpCodes is an OpCode
            .ToDictionary(code => code.Value & 0xFFFF, code => code.OperandType);

        private readonly MetadataReader metadata = file.GetMetadataReader();

        public HashSet<string> Scan()
        {
            HashSet<string> users = [];
            foreach (var handle in metadata.TypeDefinitions)
            {
                if (!Uses(metadata.GetTypeDefinition(handle))) continue;
                for (var around = handle; !around.IsNil; around = metadata.GetTypeDefinition(around).GetDeclaringType()) users.Add(NameOf(around));
            }
            return users;
        }

        private bool Uses(TypeDefinition type)
        {
            var names = new NameCollector(this);
            if (Hits(type.BaseType) || type.GetInterfaceImplementations().Any(i => Hits(metadata.GetInterfaceImplementation(i).Interface))) return true;
            foreach (var field in type.GetFields()) metadata.GetFieldDefinition(field).DecodeSignature(names, null);
            foreach (var attribute in type.GetCustomAttributes()) if (Hits(metadata.GetCustomAttribute(attribute).Constructor)) return true;
            foreach (var handle in type.GetMethods())
            {
                var method = metadata.GetMethodDefinition(handle);
                method.DecodeSignature(names, null);
                if (method.RelativeVirtualAddress == 0) continue;
                var body = file.GetMethodBody(method.RelativeVirtualAddress);
                if (!body.LocalSignature.IsNil) metadata.GetStandaloneSignature(body.LocalSignature).DecodeLocalSignature(names, null);
                if (body.ExceptionRegions.Any(region => Hits(region.CatchType)) || BodyHits(body.GetILReader())) return true;
            }
            return names.Found;
        }

        private bool BodyHits(BlobReader code)
        {
            while (code.RemainingBytes > 0)
            {
                int value = code.ReadByte();
                if (value == 0xFE) value = 0xFE00 | code.ReadByte();
                switch (operands[value])
                {
                    case OperandType.InlineNone: break;
                    case OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar: code.ReadByte(); break;
                    case OperandType.InlineVar: code.ReadInt16(); break;
                    case OperandType.InlineI8 or OperandType.InlineR: code.ReadInt64(); break;
                    case OperandType.InlineSwitch:
                        var count = code.ReadInt32();
                        for (var i = 0; i < count; i++) code.ReadInt32();
                        break;
                    case OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType:
                        if (Hits(MetadataTokens.EntityHandle(code.ReadInt32()))) return true;
                        break;
                    default: code.ReadInt32(); break; // branch, int, float, string, signature
                }
            }
            return false;
        }

        private bool Hits(EntityHandle handle)
        {
            if (handle.IsNil) return false;
            switch (handle.Kind)
            {
                case HandleKind.TypeDefinition or HandleKind.TypeReference: return targets.Contains(NameOf(handle));
                case HandleKind.FieldDefinition: return Hits(metadata.GetFieldDefinition((FieldDefinitionHandle)handle).GetDeclaringType());
                case HandleKind.MethodDefinition: return Hits(metadata.GetMethodDefinition((MethodDefinitionHandle)handle).GetDeclaringType());
                case HandleKind.MemberReference: return Hits(metadata.GetMemberReference((MemberReferenceHandle)handle).Parent);
                case HandleKind.MethodSpecification:
                    var specification = metadata.GetMethodSpecification((MethodSpecificationHandle)handle);
                    var arguments = new NameCollector(this);
                    specification.DecodeSignature(arguments, null);
                    return arguments.Found || Hits(specification.Method);
                case HandleKind.TypeSpecification:
                    var names = new NameCollector(this);
                    metadata.GetTypeSpecification((TypeSpecificationHandle)handle).DecodeSignature(names, null);
                    return names.Found;
                default: return false;
            }
        }

        private string NameOf(EntityHandle handle)
        {
            if (handle.Kind == HandleKind.TypeReference)
            {
                var reference = metadata.GetTypeReference((TypeReferenceHandle)handle);
                var name = metadata.GetString(reference.Name);
                return reference.ResolutionScope.Kind == HandleKind.TypeReference ? $"{NameOf(reference.ResolutionScope)}.{name}" : $"{metadata.GetString(reference.Namespace)}.{name}";
            }
            var definition = metadata.GetTypeDefinition((TypeDefinitionHandle)handle);
            var own = metadata.GetString(definition.Name);
            return definition.GetDeclaringType().IsNil ? $"{metadata.GetString(definition.Namespace)}.{own}" : $"{NameOf(definition.GetDeclaringType())}.{own}";
        }

        /// <summary>Walks a signature and remembers whether a target stands anywhere in it.</summary>
        private sealed class NameCollector(ReferenceScanner scanner) : ISignatureTypeProvider<int, object?>
        {
            public bool Found { get; private set; }

            public int GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) => See(handle);
            public int GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) => See(handle);
            public int GetTypeFromSpecification(MetadataReader reader, object? genericContext, TypeSpecificationHandle handle, byte rawTypeKind) => See(handle);
            public int GetArrayType(int elementType, ArrayShape shape) => 0;
            public int GetByReferenceType(int elementType) => 0;
            public int GetFunctionPointerType(MethodSignature<int> signature) => 0;
            public int GetGenericInstantiation(int genericType, ImmutableArray<int> typeArguments) => 0;
            public int GetGenericMethodParameter(object? genericContext, int index) => 0;
            public int GetGenericTypeParameter(object? genericContext, int index) => 0;
            public int GetModifiedType(int modifier, int unmodifiedType, bool isRequired) => 0;
            public int GetPinnedType(int elementType) => 0;
            public int GetPointerType(int elementType) => 0;
            public int GetPrimitiveType(PrimitiveTypeCode typeCode) => 0;
            public int GetSZArrayType(int elementType) => 0;

            private int See(EntityHandle handle)
            {
                Found |= scanner.Hits(handle);
                return 0;
            }
        }
    }

    // What the scanner has to catch. Tests may see the truth, so these compile; nothing calls them.
    private static class ReadsAField
    {
        public static double Take() => SealedTruth.Correct;
    }

    private static class CallsFromALambda
    {
        public static Func<string, double> Take() => text => TruthScorer.Score([new Turn(Speaker.User, "Hello!")], text);
    }

    private static class HoldsAMethodGroup
    {
        public static Func<GraderReading, double> Take() => TruthScorer.Score;
    }

    private static class NamesTheTypeOnly
    {
        public static Type Take() => typeof(SealedTruth);
    }

    private static class TakesADelegate
    {
        public static double Take(Func<string, double> reward) => reward("Hello!");
    }
}
