#!/bin/sh
# Resolve the newest versions that the members allow and write requirements.lock: hashes for every file, no host's name.
set -eu
cd "$(dirname "$0")/.."
uv=.tools/uv/bin/uv
{
    echo "# The one tool that installs all others; pinned with its hashes. \`make lock\` renews it."
    echo uv | $uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate -
} > tools/uv.txt.new
mv tools/uv.txt.new tools/uv.txt
{
    grep '^#' tools/drivers.txt
    sed -n 's/^\([a-z-]*\)==.*/\1/p' tools/drivers.txt |
        $uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate -
} > tools/drivers.txt.new
mv tools/drivers.txt.new tools/drivers.txt
$uv lock --quiet --upgrade
{
    echo "# Every distribution that the workspace and its tools need, with the hashes of its files. Made by \`make lock\`."
    $uv export --quiet --all-packages --no-emit-workspace --no-annotate --no-header --format requirements-txt
} > requirements.lock.new
if grep -nE '://|^-' requirements.lock.new; then
    echo "backwatch: requirements.lock would name a host or an option (above); nothing was changed" >&2
    exit 1
fi
mv requirements.lock.new requirements.lock
