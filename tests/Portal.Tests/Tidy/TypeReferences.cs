using System.Collections.Immutable;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Portal.Tests.Tidy;

/// <summary>
/// Which types each type of a built assembly refers to: base types, fields, signatures, locals, attributes and every token inside a method
/// body, in the same assembly and in others.
/// </summary>
/// <remarks>
/// A nested type (a lambda's, an iterator's) counts for itself and for the types around it. Constants are copied into their users and
/// leave no trace.
/// </remarks>
internal sealed class TypeReferences
{
    private static readonly Dictionary<int, OperandType> Operands = typeof(OpCodes).GetFields(System.Reflection.BindingFlags.Public | System.Reflection.BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!) // every public field of OpCodes is an OpCode
        .ToDictionary(code => code.Value & 0xFFFF, code => code.OperandType);

    private readonly PEReader file;
    private readonly MetadataReader metadata;
    private readonly NameCollector names;
    private HashSet<string> found = [];

    private TypeReferences(PEReader file)
    {
        (this.file, metadata) = (file, file.GetMetadataReader());
        names = new NameCollector(this);
    }

    /// <summary>Full name of each type (nested ones behind a dot) to the full names it refers to.</summary>
    public static IReadOnlyDictionary<string, IReadOnlySet<string>> Of(string assemblyPath)
    {
        using var file = new PEReader(File.OpenRead(assemblyPath));
        return new TypeReferences(file).Scan();
    }

    /// <summary>The simple names of the assemblies that an assembly refers to.</summary>
    public static IReadOnlyList<string> AssembliesOf(string assemblyPath)
    {
        using var file = new PEReader(File.OpenRead(assemblyPath));
        var metadata = file.GetMetadataReader();
        return [.. metadata.AssemblyReferences.Select(handle => metadata.GetString(metadata.GetAssemblyReference(handle).Name))];
    }

    private Dictionary<string, IReadOnlySet<string>> Scan()
    {
        var all = new Dictionary<string, HashSet<string>>(StringComparer.Ordinal);
        foreach (var handle in metadata.TypeDefinitions)
        {
            found = [];
            See(metadata.GetTypeDefinition(handle));
            for (var around = handle; !around.IsNil; around = metadata.GetTypeDefinition(around).GetDeclaringType())
            {
                var name = NameOf(around);
                if (all.TryGetValue(name, out var known))
                    known.UnionWith(found);
                else
                    all[name] = [.. found];
            }
        }
        return all.ToDictionary(type => type.Key, type => (IReadOnlySet<string>)type.Value, StringComparer.Ordinal);
    }

    private void See(TypeDefinition type)
    {
        See(type.BaseType);
        foreach (var implemented in type.GetInterfaceImplementations())
            See(metadata.GetInterfaceImplementation(implemented).Interface);
        See(type.GetCustomAttributes());
        foreach (var handle in type.GetFields())
        {
            var field = metadata.GetFieldDefinition(handle);
            field.DecodeSignature(names, null);
            See(field.GetCustomAttributes());
        }
        foreach (var handle in type.GetMethods())
        {
            var method = metadata.GetMethodDefinition(handle);
            method.DecodeSignature(names, null);
            See(method.GetCustomAttributes());
            if (method.RelativeVirtualAddress == 0)
                continue;
            var body = file.GetMethodBody(method.RelativeVirtualAddress);
            if (!body.LocalSignature.IsNil)
                metadata.GetStandaloneSignature(body.LocalSignature).DecodeLocalSignature(names, null);
            foreach (var region in body.ExceptionRegions)
                See(region.CatchType);
            See(body.GetILReader());
        }
    }

    private void See(CustomAttributeHandleCollection attributes)
    {
        foreach (var attribute in attributes)
            See(metadata.GetCustomAttribute(attribute).Constructor);
    }

    private void See(BlobReader code)
    {
        while (code.RemainingBytes > 0)
        {
            int value = code.ReadByte();
            if (value == 0xFE)
                value = 0xFE00 | code.ReadByte();
            switch (Operands[value])
            {
                case OperandType.InlineNone: break;
                case OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar: code.ReadByte(); break;
                case OperandType.InlineVar: code.ReadInt16(); break;
                case OperandType.InlineI8 or OperandType.InlineR: code.ReadInt64(); break;
                case OperandType.InlineSwitch:
                    var count = code.ReadInt32();
                    for (var i = 0; i < count; i++)
                        code.ReadInt32();
                    break;
                case OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType:
                    See(MetadataTokens.EntityHandle(code.ReadInt32()));
                    break;
                default: code.ReadInt32(); break; // branch, int, float, string, signature
            }
        }
    }

    private void See(EntityHandle handle)
    {
        if (handle.IsNil)
            return;
        switch (handle.Kind)
        {
            case HandleKind.TypeDefinition or HandleKind.TypeReference: found.Add(NameOf(handle)); break;
            case HandleKind.FieldDefinition: See(metadata.GetFieldDefinition((FieldDefinitionHandle)handle).GetDeclaringType()); break;
            case HandleKind.MethodDefinition: See(metadata.GetMethodDefinition((MethodDefinitionHandle)handle).GetDeclaringType()); break;
            case HandleKind.MemberReference: See(metadata.GetMemberReference((MemberReferenceHandle)handle).Parent); break;
            case HandleKind.MethodSpecification:
                var specification = metadata.GetMethodSpecification((MethodSpecificationHandle)handle);
                specification.DecodeSignature(names, null);
                See(specification.Method);
                break;
            case HandleKind.TypeSpecification: metadata.GetTypeSpecification((TypeSpecificationHandle)handle).DecodeSignature(names, null); break;
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

    /// <summary>Walks a signature and hands each named type in it to the scan.</summary>
    private sealed class NameCollector(TypeReferences scan) : ISignatureTypeProvider<int, object?>
    {
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
            scan.See(handle);
            return 0;
        }
    }
}
