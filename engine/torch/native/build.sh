#!/usr/bin/env bash
# Builds libportal_torch.so into the folder given as $1 (made if missing); does nothing when that is fresh.
#
# libtorch is found, in this order: $TORCH_HOME; each entry of $CMAKE_PREFIX_PATH; the Python torch of $PORTAL_TORCH_PYTHON;
# the system (Debian libtorch-dev). The key beside the library is a hash of this script, the source, the compiler, and the
# libtorch it was linked to, so a change of any of them rebuilds. Needs g++ with C++17 (C++20 for libtorch 2.9 and later).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
out="${1:?usage: build.sh OUTPUT_FOLDER}"
cxx="${CXX:-g++}"
mkdir -p "$out"

# A prefix is a libtorch when it has ATen's headers and the library; prints "include-folder library-folder".
torch_at() {
  local prefix="$1" include lib
  for include in "$prefix/include" "$prefix"; do
    [ -f "$include/ATen/ATen.h" ] || continue
    for lib in "$prefix/lib" "$prefix/lib/$(uname -m)-linux-gnu" "$prefix/lib64"; do
      if [ -e "$lib/libtorch_cpu.so" ]; then echo "$include $lib"; return 0; fi
    done
  done
  return 1
}

found=""
candidates=()
[ -n "${TORCH_HOME:-}" ] && candidates+=("$TORCH_HOME")
if [ -n "${CMAKE_PREFIX_PATH:-}" ]; then
  IFS=':;' read -r -a prefixes <<< "$CMAKE_PREFIX_PATH"
  for prefix in "${prefixes[@]}"; do
    candidates+=("$prefix" "${prefix%/share/cmake}" "${prefix%/share/cmake/Torch}")
  done
fi
if [ -n "${PORTAL_TORCH_PYTHON:-}" ]; then
  candidates+=("$("$PORTAL_TORCH_PYTHON" -c 'import importlib.util as u, os; print(os.path.dirname(u.find_spec("torch").origin))')")
fi
candidates+=(/usr /usr/local /opt/libtorch)
for candidate in "${candidates[@]}"; do
  if found="$(torch_at "$candidate")"; then break; fi
  if [ "$candidate" = "${TORCH_HOME:-}" ]; then
    echo "build.sh: error: TORCH_HOME=$TORCH_HOME holds no libtorch (looked for include/ATen/ATen.h and lib/libtorch_cpu.so)." >&2
    exit 1
  fi
done
if [ -z "$found" ]; then
  echo "build.sh: error: no libtorch found. Install Debian's libtorch-dev, or set TORCH_HOME to an unpacked libtorch (a Python torch folder will do)." >&2
  exit 1
fi
read -r include lib <<< "$found"
if ! command -v "$cxx" > /dev/null; then
  echo "build.sh: error: no C++ compiler '$cxx'. Install g++, or name one in CXX." >&2
  exit 1
fi

key="$( { cat "$here/portal_torch.cpp" "$here/build.sh"; "$cxx" --version; echo "$include $lib"; stat -L -c '%s %Y' "$lib/libtorch_cpu.so"; } | sha256sum | cut -d ' ' -f 1)"
library="$out/libportal_torch.so"
exec 9> "$out/.lock"
flock 9
if [ -f "$library" ] && [ "$(cat "$library.key" 2> /dev/null || true)" = "$key" ]; then exit 0; fi

version_header="$include/torch/csrc/api/include/torch/version.h"
number() {
  { cat "$version_header" "$include/torch/headeronly/version.h" 2> /dev/null || true; } \
    | sed -n "s/^#define TORCH_VERSION_$1 \\([0-9]*\\).*/\\1/p" | head -n 1
}
major="$(number MAJOR)"; minor="$(number MINOR)"
standard=c++17
if [ "${major:-1}" -gt 2 ] || { [ "${major:-1}" -eq 2 ] && [ "${minor:-0}" -ge 9 ]; }; then standard=c++20; fi
# What later versions deprecate is still right for the older ones this source also serves.
warnings=(-Wall -Wextra -Werror)
if [ "${major:-1}" -ge 2 ]; then warnings+=(-Wno-deprecated-declarations); fi
# Python wheels up to 2.5 were built with the old string ABI and say so in their CMake file.
abi=()
for config in "$(dirname "$lib")/share/cmake/Torch/TorchConfig.cmake" "$lib/cmake/Torch/TorchConfig.cmake"; do
  if [ -f "$config" ] && grep -q 'GLIBCXX_USE_CXX11_ABI=0' "$config"; then abi=(-D_GLIBCXX_USE_CXX11_ABI=0); fi
done
# The compiler's own folder must not be named again: that would reorder the C library's headers.
search=(-isystem "$include/torch/csrc/api/include")
if [ "$include" != /usr/include ]; then search+=(-isystem "$include"); fi
rpath=()
case "$lib" in /usr/lib | /usr/lib/*) ;; *) rpath=("-Wl,-rpath,$lib") ;; esac

echo "build.sh: compiling libportal_torch.so against libtorch ${major:-?}.${minor:-?} in $lib"
"$cxx" -std="$standard" -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off -fPIC -shared -fvisibility=hidden "${warnings[@]}" \
  ${abi[@]+"${abi[@]}"} "${search[@]}" "$here/portal_torch.cpp" -o "$library.tmp" \
  -L"$lib" ${rpath[@]+"${rpath[@]}"} -Wl,--no-as-needed -ltorch -ltorch_cpu -lc10 -ldl
mv -f "$library.tmp" "$library"
echo "$key" > "$library.key"
