# What run, test and bench share: finding the repository, installing what the machine lacks, building once per state of the sources.
# Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
artifacts="$root/artifacts"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 NUGET_XMLDOC_MODE=skip

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# need PACKAGE CHECK...: installs a Debian package unless CHECK succeeds. Collects first, so that apt runs once.
# What would only be good to have goes into welcome.
wanted=() welcome=()
need() {
  local package=$1; shift
  "$@" >/dev/null 2>&1 || wanted+=("$package")
}
has_file() { compgen -G "$1" >/dev/null; }
has_library() { ldconfig -p | grep -q "$1"; }

# libtorch's own folders, newest place first; TORCH_HOME or CMAKE_PREFIX_PATH name another one (a CUDA build, say).
has_libtorch() {
  [ -n "${TORCH_HOME:-}" ] && return 0
  has_file '/usr/lib/*/libtorch_cpu.so' && has_file '/usr/include/torch/csrc/api/include/torch/version.h'
}

need_runtime() {
  need libsqlite3-0 has_library libsqlite3.so.0
  need libtorch-dev has_libtorch
  need libopenblas0-pthread has_file '/usr/lib/*/openblas-pthread/libopenblas.so.0'
  need g++ command -v g++
  need nodejs command -v node
  need npm command -v npm
}

need_tests() {
  need_runtime
  need chromium command -v chromium
  # The same Chromium without its windows, tabs and services: pages take half the processor time. Without it they are tested in the whole one.
  command -v chromium-headless-shell >/dev/null || welcome+=(chromium-headless-shell)
  need postgresql has_file '/usr/lib/postgresql/*/bin/initdb'
}

need_bench() {
  need_runtime
  need python3-torch test -d /usr/lib/python3/dist-packages/torch
}

need_audits_bench() {
  need_bench
  need python3-scipy test -d /usr/lib/python3/dist-packages/scipy
}

install_wanted() {
  command -v dotnet >/dev/null || die "The .NET 10 SDK is missing (dotnet is not on the PATH); install it, then start again."
  [ ${#wanted[@]} -eq 0 ] || install "${wanted[@]}" || die "Missing: ${wanted[*]}. Install them by hand, then start again."
  [ ${#welcome[@]} -eq 0 ] || install "${welcome[@]}" || say "Going on without ${welcome[*]}."
  wanted=() welcome=()
}

# install PACKAGE...: with apt-get; says why where it cannot.
install() {
  command -v apt-get >/dev/null || { say "This machine has no apt-get."; return 1; }
  local sudo=() log="$artifacts/install.log"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "Start as root or install sudo."; return 1; }
    sudo=(sudo)
  fi
  say "Installing $* ..."
  mkdir -p "$artifacts"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update >"$log" 2>&1 || { tail -5 "$log" >&2; say "apt-get update failed."; return 1; }
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1 \
    || { tail -20 "$log" >&2; say "Installing $* failed; the whole log is $log."; return 1; }
}

# compile ARGUMENT...: dotnet with one compiler for all projects, even where the environment says otherwise: a compiler each takes nearly twice
# as long. It would wait for the next build; nothing of ours stays behind.
compile() {
  local status=0
  UseSharedCompilation=true dotnet "$@" || status=$?
  dotnet build-server shutdown --vbcscompiler >/dev/null 2>&1 || true
  return "$status"
}

# One hash over everything a build reads. Cheap enough for every start (some 500 small files).
source_hash() {
  (cd "$root" && find web engine migrations wwwroot-assets docs Directory.Build.props Directory.Packages.props .ci/machine.sh -type f \
      -not -path '*/node_modules/*' -not -path 'web/wwwroot/*' -not -path 'wwwroot-assets/lib/*' -not -path 'wwwroot-assets/demo/*' \
      -not -path 'wwwroot-assets/screenshots/*' -not -path '*/bin/*' -not -path '*/obj/*' -print0 \
    | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
}

# publish: builds web and engine in Release once per state of the sources; prints the folder that holds both.
# PORTAL_PUBLISHED names a folder with web/ and engine/ that were built already (the tests of ./run use what they were built with).
publish() {
  [ -z "${PORTAL_PUBLISHED:-}" ] || { printf '%s' "$PORTAL_PUBLISHED"; return 0; }
  local hash folder
  hash=$(source_hash)
  folder="$artifacts/publish/$hash"
  if [ ! -e "$folder/done" ]; then
    say "Building (first start, or the sources changed) ..."
    rm -rf "$folder.new"
    local log="$artifacts/publish.log"
    mkdir -p "$artifacts"
    {
      compile publish "$root/engine/Portal.Engine.csproj" -c Release -r linux-x64 --self-contained false -p:PublishReadyToRun=true -o "$folder.new/engine" -v q &&
      compile publish "$root/web/Portal.Web.csproj" -c Release -o "$folder.new/web" -v q
    } >"$log" 2>&1 || { tail -30 "$log" >&2; die "The build failed; the whole log is $log."; }
    touch "$folder.new/done"
    rm -rf "$folder"
    mv "$folder.new" "$folder"
    # Older builds are of no more use; keep the last two for a quick way back.
    ls -1dt "$artifacts"/publish/*/ 2>/dev/null | tail -n +4 | xargs -r rm -rf
  fi
  printf '%s' "$folder"
}
