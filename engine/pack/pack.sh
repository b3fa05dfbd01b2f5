#!/usr/bin/env bash
# ./run pack-engine [DIR]: the engine alone, to be carried to another machine (one with a GPU, say): one compressed self-contained file, its
# presets, and the source of the shim over libtorch, which is compiled there against that machine's libtorch.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
out="${1:?usage: pack.sh OUTPUT_FOLDER}"
case "$out" in /*) ;; *) out="$PWD/$out" ;; esac
limit_mb=60

if [ -e "$out" ] && [ ! -e "$out/compile-shim" ] && [ -n "$(ls -A "$out")" ]; then
  echo "$out is not empty and holds no packed engine; choose another folder." >&2
  exit 1
fi
work="$root/artifacts/pack"
rm -rf "$work" "$out"
mkdir -p "$work" "$out/native"
echo "Publishing the engine as one file ..." >&2
# No analysis of single files: what they cannot know (the path of an assembly) is asked for only where the engine runs as a dll.
dotnet publish "$root/engine/Portal.Engine.csproj" -c Release -r linux-x64 --self-contained true -v q --nologo \
  -p:PublishSingleFile=true -p:EnableCompressionInSingleFile=true -p:EnableSingleFileAnalyzer=false -p:DebugType=none -o "$work" \
  >"$work.log" 2>&1 || { tail -20 "$work.log" >&2; echo "The engine was not published; the whole log is $work.log." >&2; exit 1; }

install -m 0755 "$work/Portal.Engine" "$out/Portal.Engine"
cp -r "$work/presets" "$out/presets"
cp "$root/engine/torch/native/portal_torch.cpp" "$root/engine/torch/native/build.sh" "$out/native/"
install -m 0755 "$here/compile-shim" "$out/compile-shim"
rm -rf "$work"

bytes=$(stat -c %s "$out/Portal.Engine")
printf '%s\n' "The engine is $((bytes / 1000000)) MB as one file (target: under $limit_mb MB); the folder $out is $(du -sm "$out" | cut -f1) MiB." \
  "On the other machine: ./compile-shim, then ./Portal.Engine --help. It needs g++, libtorch, and the libraries of a .NET program (libicu)."
[ "$bytes" -lt $((limit_mb * 1000000)) ] || { echo "That is over the target." >&2; exit 1; }
