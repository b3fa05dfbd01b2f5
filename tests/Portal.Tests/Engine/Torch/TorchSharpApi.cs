using System.Globalization;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Portal.Tests.Engine.Torch;

/// <summary>
/// The public signatures of TorchSharp 0.107 as a text file lists them, and what of an assembly does not stand in it.
/// Nullability of reference types, ranks of arrays and names of tuple elements are no part of the comparison.
/// </summary>
internal sealed partial class TorchSharpApi
{
    private readonly Dictionary<string, HashSet<string>> members = [];
    private readonly Dictionary<string, HashSet<string>> names = [];

    internal TorchSharpApi(IEnumerable<string> lines)
    {
        HashSet<string>? signatures = null, short_ = null;
        foreach (var line in lines)
        {
            if (line.StartsWith("## ", StringComparison.Ordinal))
            {
                var type = TypeName().Match(line).Groups[1].Value;
                members[type] = signatures = [];
                names[type] = short_ = [];
            }
            else if (line.Length > 0 && line[0] != '#' && signatures is not null)
            {
                signatures.Add(Normal(line));
                short_!.Add(ShortName(line)); // made together with signatures
            }
        }
    }

    /// <summary>Every visible member of the assembly's TorchSharp types that the list lacks, as "type: member".</summary>
    internal IEnumerable<string> Missing(Assembly assembly)
    {
        foreach (var type in assembly.GetExportedTypes().Where(static t => t.Namespace?.StartsWith("TorchSharp", StringComparison.Ordinal) == true))
        {
            var name = type.FullName!.Replace('+', '.'); // an exported type has a full name
            if (!members.TryGetValue(name, out var known))
            {
                yield return $"{name}: the type itself";
                continue;
            }
            foreach (var member in type.IsEnum ? EnumMembers(type, known) : Members(type).Where(m => !Known(m, known)))
                yield return $"{name}: {member}";
        }
    }

    /// <summary>Every member of TorchSharp that an assembly refers to and the list lacks, by type and name.</summary>
    internal IEnumerable<string> MissingReferences(string assemblyPath)
    {
        using var file = File.OpenRead(assemblyPath);
        using var image = new PEReader(file);
        var reader = image.GetMetadataReader();
        foreach (var handle in reader.MemberReferences)
        {
            var reference = reader.GetMemberReference(handle);
            var type = TypeOf(reader, reference.Parent);
            if (type is null || !type.StartsWith("TorchSharp", StringComparison.Ordinal)) continue;
            var name = reader.GetString(reference.Name);
            if (!names.TryGetValue(type, out var known))
            {
                yield return $"{type}: the type itself";
            }
            else if (!known.Contains(name) && !known.Contains(Regex.Replace(name, "^(get|set)_", "")) && !(name is "get_Item" or "set_Item" && known.Contains("this")))
            {
                yield return $"{type}: {name}";
            }
        }
    }

    private static string? TypeOf(MetadataReader reader, EntityHandle parent)
    {
        switch (parent.Kind)
        {
            case HandleKind.TypeReference:
                var type = reader.GetTypeReference((TypeReferenceHandle)parent);
                var name = reader.GetString(type.Name);
                if (type.ResolutionScope.Kind == HandleKind.TypeReference) return $"{TypeOf(reader, type.ResolutionScope)}.{name}";
                return $"{reader.GetString(type.Namespace)}.{name}";
            case HandleKind.TypeSpecification:
                var blob = reader.GetBlobReader(reader.GetTypeSpecification((TypeSpecificationHandle)parent).Signature);
                // ELEMENT_TYPE_GENERICINST, CLASS or VALUETYPE, then the generic type.
                if (blob.ReadByte() != 0x15) return null;
                blob.ReadByte();
                return TypeOf(reader, blob.ReadTypeHandle());
            default:
                return null;
        }
    }

    private static bool Known(string member, HashSet<string> known)
    {
        if (known.Contains(member)) return true;
        // A property may lack a setter that TorchSharp's has.
        return member.EndsWith(" { get; }", StringComparison.Ordinal) && known.Contains(member.Replace(" { get; }", " { get; set; }"));
    }

    private static IEnumerable<string> EnumMembers(Type type, HashSet<string> known)
    {
        var listed = known.SelectMany(static line => line.Split(", ")).ToHashSet();
        return Enum.GetNames(type).Select(n => $"{n}={Convert.ToInt64(Enum.Parse(type, n), CultureInfo.InvariantCulture)}").Where(m => !listed.Contains(m));
    }

    private static IEnumerable<string> Members(Type type)
    {
        const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (var constructor in type.GetConstructors(All).Where(static c => !c.IsStatic && Visible(c)))
            yield return $"{Access(constructor)}new {Nested(type)}({Parameters(constructor.GetParameters())})";
        foreach (var field in type.GetFields(All).Where(static f => f.IsPublic || f.IsFamily || f.IsFamilyOrAssembly))
            yield return $"{(field.IsPublic ? "" : "protected ")}{(field.IsStatic ? "static " : "")}{Of(field.FieldType)} {field.Name}";
        foreach (var property in type.GetProperties(All))
        {
            var accessor = property.GetAccessors(nonPublic: true).FirstOrDefault(Visible);
            if (accessor is null || Overrides(accessor)) continue;
            var index = property.GetIndexParameters();
            var name = index.Length == 0 ? property.Name : $"this[{Parameters(index)}]";
            var get = property.GetMethod is { } g && Visible(g) ? "get; " : "";
            var set = property.SetMethod is { } s && Visible(s) ? "set; " : "";
            yield return $"{Access(accessor)}{(accessor.IsStatic ? "static " : "")}{Of(property.PropertyType)} {name} {{ {get}{set}}}";
        }
        foreach (var method in type.GetMethods(All))
        {
            if (!Visible(method) || Overrides(method) || (method.IsSpecialName && !method.Name.StartsWith("op_", StringComparison.Ordinal))) continue;
            var generic = method.IsGenericMethodDefinition ? $"<{string.Join(", ", method.GetGenericArguments().Select(Of))}>" : "";
            var extension = method.IsDefined(typeof(ExtensionAttribute)) ? "this " : "";
            yield return $"{Access(method)}{(method.IsStatic ? "static " : "")}{Of(method.ReturnType)} {method.Name}{generic}({extension}{Parameters(method.GetParameters())})";
        }
    }

    private static bool Visible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static string Access(MethodBase method) => method.IsPublic ? "" : "protected ";

    // What overrides is listed where it was first declared, and callers cannot tell.
    private static bool Overrides(MethodInfo method) => method.GetBaseDefinition().DeclaringType != method.DeclaringType;

    private static string Parameters(ParameterInfo[] parameters) => string.Join(", ", parameters.Select(static p =>
        (p.IsDefined(typeof(ParamArrayAttribute)) ? "params " : "") + (p.IsOut ? "out " : p.ParameterType.IsByRef ? "ref " : "")
        + Of(p.ParameterType.IsByRef ? p.ParameterType.GetElementType()! : p.ParameterType) + " " + p.Name + (p.HasDefaultValue ? " = " + Default(p) : "")));

    private static string Default(ParameterInfo parameter) => parameter.DefaultValue switch
    {
        null => parameter.ParameterType.IsValueType && Nullable.GetUnderlyingType(parameter.ParameterType) is null ? "default" : "null",
        bool truth => truth ? "true" : "false",
        float number => number.ToString(CultureInfo.InvariantCulture) + "f",
        string text => $"\"{text}\"",
        Enum value => value.ToString(),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        var other => other.ToString()!,
    };

    private static readonly Dictionary<Type, string> Keywords = new()
    {
        [typeof(void)] = "void", [typeof(bool)] = "bool", [typeof(byte)] = "byte", [typeof(sbyte)] = "sbyte", [typeof(short)] = "short", [typeof(int)] = "int",
        [typeof(long)] = "long", [typeof(float)] = "float", [typeof(double)] = "double", [typeof(string)] = "string", [typeof(object)] = "object",
    };

    private static string Of(Type type)
    {
        if (Keywords.TryGetValue(type, out var keyword)) return keyword;
        if (type.IsGenericParameter) return type.Name;
        if (type.IsArray) return Of(type.GetElementType()!) + "[]";
        if (Nullable.GetUnderlyingType(type) is { } underlying) return Of(underlying) + "?";
        if (type.FullName?.StartsWith("System.ValueTuple`", StringComparison.Ordinal) == true || type.Name.StartsWith("ValueTuple`", StringComparison.Ordinal))
            return $"({string.Join(", ", type.GetGenericArguments().Select(Of))})";
        var arguments = type.GetGenericArguments();
        return Nested(type) + (arguments.Length > 0 ? $"<{string.Join(", ", arguments.Select(Of))}>" : "");
    }

    // Names as the list has them: without namespace, without "torch.", nested ones with their outer type.
    private static string Nested(Type type)
    {
        var name = Regex.Replace(type.Name, "`.*", "");
        if (type.DeclaringType is not { } outer || type.IsGenericParameter) return name;
        var prefix = Nested(outer);
        return prefix == "torch" ? name : prefix + "." + name;
    }

    private static readonly HashSet<string> ValueTypes = ["bool", "byte", "sbyte", "short", "int", "long", "float", "double", "ScalarType", "Half", "TensorStringStyle"];

    private static string Normal(string line)
    {
        line = Modifiers().Replace(line, "$1");
        return Question().Replace(line, match => ValueTypes.Contains(match.Groups[1].Value) ? match.Value : match.Groups[1].Value);
    }

    private static string ShortName(string line)
    {
        if (Regex.IsMatch(line, @"^(protected )?new ")) return ".ctor";
        if (line.Contains(" this[", StringComparison.Ordinal)) return "this";
        // A property; a method, whose name is the first word that an opening bracket follows; else a field.
        foreach (var pattern in (ReadOnlySpan<string>)[@"(\w+) \{ [gs]et", @"(\w+)(?:<[\w, ]+>)?\(", @"(\w+)(?: =.*)?$"])
            if (Regex.Match(line, pattern) is { Success: true } match) return match.Groups[1].Value;
        return line;
    }

    [GeneratedRegex(@"^## (?:static |abstract |sealed )*(?:class|struct|enum|interface|delegate) (\S+)")]
    private static partial Regex TypeName();

    [GeneratedRegex(@"^((?:protected )?)(?:(?:virtual|override|abstract|const) )+")]
    private static partial Regex Modifiers();

    [GeneratedRegex(@"(\w+|[\]>])\?")]
    private static partial Regex Question();
}
