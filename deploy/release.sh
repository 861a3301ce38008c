#!/usr/bin/env bash
# Makes the release archives: server and trainer, each with its own .NET runtime, a bill of materials for each (CycloneDX), and checksums of all.
#   deploy/release.sh VERSION OUTPUT [RID...]        RID: linux-x64 win-x64 osx-arm64 (all three when none is named)
# An archive whose packages cannot be had (libtorch is not published for every platform everywhere) is named at the end, and the exit code is 3.
set -euo pipefail

[ $# -ge 2 ] || { sed -n '3s/^# *//p' "$0" >&2; exit 2; }
version=$1 output=$(mkdir -p "$2" && cd "$2" && pwd)
shift 2
rids=("$@")
[ ${#rids[@]} -gt 0 ] || rids=(linux-x64 win-x64 osx-arm64)
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
missing=()

publish() { # project, name, RID
  local name=trainserve-$2-$version-$3 target=$work/trainserve-$2-$version-$3
  # Outputs of a build tree of its own: another platform's must not end up in this one's. Copies, not links: another build touches what it links to, and tar would see it change.
  if ! dotnet publish "src/$1" -c Release -r "$3" -p:SelfContained=true -p:Version="$version" -p:DebugType=none -p:ArtifactsPath="$work/build-$3" \
    -p:CreateHardLinksForPublishFilesIfPossible=false -o "$target" -v quiet > "$work/log" 2>&1; then
    grep -m1 -E 'error' "$work/log" >&2 || tail -3 "$work/log" >&2
    missing+=("$name")
    return
  fi
  # Recipes, and the models that are part of the repository: both programs look for them in `models`.
  cp -r README.md models "$target/"
  dotnet run deploy/sbom.cs -- "$target"/*.deps.json "$version" "$target/sbom.json"
  cp "$target/sbom.json" "$output/$name.sbom.json"
  case $3 in
    win-*) (cd "$work" && zip -qr "$output/$name.zip" "$(basename "$target")") ;;
    *) tar -C "$work" --sort=name --owner=0 --group=0 -czf "$output/$name.tar.gz" "$(basename "$target")" ;;
  esac
  echo "made $name"
  rm -rf "$target"
}

for rid in "${rids[@]}"; do
  publish TrainServe.Server server "$rid"
  publish TrainServe.Cli trainer "$rid"
done
(cd "$output" && find . -maxdepth 1 \( -name "*-$version-*.tar.gz" -o -name "*-$version-*.zip" -o -name "*-$version-*.sbom.json" \) -printf '%P\n' | sort | xargs -r sha256sum > SHA256SUMS)
if [ ${#missing[@]} -gt 0 ]; then
  printf 'not made: %s\n' "${missing[@]}" >&2
  exit 3
fi
