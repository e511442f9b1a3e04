#!/bin/sh
# The servers of the tests: PostgreSQL, MariaDB, ClickHouse, Redis, RabbitMQ, memcached, Chromium, a JDK and Maven from Debian (as
# root), jars by Maven and programs by Go into .tools. Existing files stay. Without root nothing is installed:
# tests without their server are skipped with a reason; under CI=true they fail.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

packages=
need() { # need PACKAGE PROGRAM
    command -v "$2" >/dev/null || packages="$packages $1"
}
need default-jdk-headless javac
need maven mvn
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || need postgresql postgres
need mariadb-server mariadbd
need redis-server redis-server
need rabbitmq-server rabbitmq-server
need memcached memcached
need nats-server nats-server
need clickhouse-server clickhouse-server
need clickhouse-client clickhouse-client
need chromium chromium
need libmariadb-dev mariadb_config
need gcc gcc
need pkg-config pkg-config
need slapd slapd
ls /usr/lib/*/sasl2/libdigestmd5.so.2 >/dev/null 2>&1 || packages="$packages libsasl2-modules"
need dovecot-imapd dovecot
need dovecot-pop3d /usr/lib/dovecot/pop3
need vsftpd vsftpd

# Drivers that come without a wheel are built for the environment's own Python, against its headers.
headers=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null || true)
[ -z "$headers" ] || [ -e "$headers/Python.h" ] || packages="$packages python3-dev"

install_packages() {
    # A package would start its own instance on the well-known port; the tests start theirs.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get update -qq
    # shellcheck disable=SC2086  a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
}

if [ -n "$packages" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing$packages"
        install_packages
    else
        echo "not installed, and not installable without root on Debian:$packages" >&2
    fi
fi

# Each folder of tests/services that holds a pom.xml needs its jars; one with a go.mod is a program to build.
for pom in tests/services/*/pom.xml; do
    folder=.tools/$(basename "$(dirname "$pom")")
    cmp -s "$pom" "$folder/pom.xml" && continue
    if ! command -v mvn >/dev/null; then
        echo "the jars of $pom need Maven (mvn), which is not installed" >&2
        continue
    fi
    rm -rf "$folder"
    mkdir -p "$folder"
    # Maven writes its errors to standard output, among escape codes: shown only on failure.
    output=$(mvn -q -B -C -f "$pom" dependency:copy-dependencies -DoutputDirectory="$PWD/$folder" 2>&1) || {
        echo "$output" >&2
        exit 1
    }
    cp "$pom" "$folder/pom.xml"
done

for module in tests/services/*/go.mod; do
    [ -e "$module" ] || continue
    source=$(dirname "$module")
    program=.tools/bin/$(basename "$source")
    [ -x "$program" ] && [ -z "$(find "$source" -newer "$program" -type f)" ] && continue
    if ! command -v go >/dev/null; then
        echo "$source needs Go, which is not installed" >&2
        continue
    fi
    mkdir -p .tools/bin
    (cd "$source" && GOFLAGS=-mod=readonly go build -o "$OLDPWD/$program" .)
done

# The OpenTelemetry Collector of the interoperability tests, by its own builder, in the release that its file names.
manifest=tests/services/otelcol/builder.yaml
if ! cmp -s "$manifest" .tools/otelcol/builder.yaml || [ ! -x .tools/bin/otelcol ]; then
    if command -v go >/dev/null; then
        release=$(sed -n 's/.*otlpreceiver //p' "$manifest")
        mkdir -p .tools/bin .tools/otelcol
        GOBIN="$PWD/.tools/otelcol" go install "go.opentelemetry.io/collector/cmd/builder@$release"
        output=$(.tools/otelcol/builder --config "$manifest" 2>&1) || {
            echo "$output" >&2
            exit 1
        }
        mv .tools/otelcol/build/otelcol .tools/bin/otelcol
        cp "$manifest" .tools/otelcol/builder.yaml
    else
        echo "$manifest needs Go, which is not installed" >&2
    fi
fi

# Drivers without a wheel, with the hashes that tools/drivers.txt has of their sources and of what builds them.
if ! cmp -s tools/drivers.txt .tools/drivers/installed.txt; then
    if [ -x .tools/uv/bin/uv ] && [ -x .venv/bin/python ] && [ -e "$headers/Python.h" ] && command -v gcc >/dev/null && command -v mariadb_config >/dev/null; then
        rm -rf .tools/drivers
        # shellcheck disable=SC2046  a list of words
        .tools/uv/bin/uv pip install --quiet --python .venv/bin/python --target .tools/drivers --no-deps --require-hashes \
            --constraints tools/drivers.txt --build-constraints tools/drivers.txt \
            $(sed -n '/^setuptools/!s/^\([a-z-]*==[^ ]*\) .*/\1/p' tools/drivers.txt)
        cp tools/drivers.txt .tools/drivers/installed.txt
    else
        echo "tools/drivers.txt is not built: it needs .venv (make environment), gcc, Python's headers and libmariadb-dev" >&2
    fi
fi
