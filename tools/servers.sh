#!/bin/sh
# The servers of the tests: PostgreSQL, MariaDB, Redis, RabbitMQ, memcached, Chromium, a JRE and Maven from Debian (as
# root), Kafka's jars by Maven into .tools/kafka. What is there already is left alone. Without root nothing is installed:
# the tests that miss a server are skipped and say so; under CI=true they fail.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

packages=
need() { # need PACKAGE PROGRAM
    command -v "$2" >/dev/null || packages="$packages $1"
}
need default-jre-headless java
need maven mvn
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || need postgresql postgres
need mariadb-server mariadbd
need redis-server redis-server
need rabbitmq-server rabbitmq-server
need memcached memcached
need chromium chromium

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

pom=tests/services/kafka/pom.xml
if ! cmp -s "$pom" .tools/kafka/pom.xml; then
    if command -v mvn >/dev/null; then
        rm -rf .tools/kafka
        mkdir -p .tools/kafka
        # Maven writes its faults to standard output, among escape codes: shown only where it failed.
        said=$(mvn -q -B -C -f "$pom" dependency:copy-dependencies -DoutputDirectory="$PWD/.tools/kafka" 2>&1) || {
            echo "$said" >&2
            exit 1
        }
        cp "$pom" .tools/kafka/pom.xml
    else
        echo "Kafka's jars need Maven (mvn), which is not installed" >&2
    fi
fi
