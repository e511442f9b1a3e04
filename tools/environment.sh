#!/bin/sh
# The Python environment in .venv, from nothing: uv in a venv of its own under .tools, every distribution from
# requirements.lock (hashes required), the workspace's members on top, editable.
set -eu
cd "$(dirname "$0")/.."

fail() { echo "backwatch: $*" >&2; exit 1; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer found (PYTHON=/path/to/python names one)"
}

make_venv_for_uv() {
    "$1" -m venv --clear .tools/uv >/dev/null 2>&1 && return
    # Debian keeps the half of the standard library that makes venvs in a separate package.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        "$1" -m venv --clear .tools/uv && return
    fi
    fail "$1 cannot make a venv; on Debian and Ubuntu: apt-get install python3-venv"
}

export PIP_DISABLE_PIP_VERSION_CHECK=1 UV_PYTHON_DOWNLOADS=never
python=$(find_python)
mkdir -p .tools
if ! cmp -s tools/uv.txt .tools/uv/installed.txt; then
    make_venv_for_uv "$python"
    .tools/uv/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r tools/uv.txt
    cp tools/uv.txt .tools/uv/installed.txt
fi
uv=.tools/uv/bin/uv
[ -x .venv/bin/python ] || $uv venv --quiet --python "$python" .venv
# No code of a distribution runs during installation: a missing wheel for this machine is an error, not a build.
$uv pip install --quiet --python .venv/bin/python --require-hashes --only-binary :all: --compile-bytecode -r requirements.lock
$uv pip install --quiet --python .venv/bin/python --no-deps --editable . \
    --editable collector --editable store --editable detector --editable notify --editable dashboard --editable attack --editable resource
