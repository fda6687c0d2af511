#!/usr/bin/env bash
# Builds the root file system of the template "python-node" from Debian packages and npm, as root on Debian 12:
#   infra/templates/python-node/build.sh OUTPUT.tar
#   infra/templates/python-node/build.sh OUTPUT.tar.gz
# The same packages give the same bytes (README.md says what that means). Nothing outside of OUTPUT and a temporary folder
# is written.
#   CROWNEST_APT_SOURCES    file with apt sources for Debian 12 (default: this machine's own for Debian's archive)
#   TMPDIR                  needs 2 GB
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SUITE=bookworm
# 2026-11-25, the day of the pins: whatever the build itself makes, or Debian made later, bears this time.
export SOURCE_DATE_EPOCH=1795564800

say() { printf 'python-node: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

output=${1:-}
case "$output" in
    *.tar | *.tar.gz) ;;
    *)
        echo "usage: infra/templates/python-node/build.sh OUTPUT.tar[.gz]" >&2
        exit 64
        ;;
esac
[ "$(id -u)" = 0 ] || fail "needs root, to install packages into a folder"
for program in mmdebstrap npm python3; do
    command -v "$program" >/dev/null || fail "$program is missing: apt-get install mmdebstrap npm python3"
done
case "$(dpkg --print-architecture)" in
    amd64) cpu=x64 ;;
    arm64) cpu=arm64 ;;
    *) fail "Node is packaged for amd64 and arm64, this machine is $(dpkg --print-architecture)" ;;
esac

# Sources of others than Debian would make the result depend on what else this machine has installed.
sources=${CROWNEST_APT_SOURCES:-}
for candidate in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if [ -z "$sources" ] && [ -s "$candidate" ]; then sources=$candidate; fi
done
[ -r "$sources" ] || fail "no apt sources for Debian 12 found; name a file in CROWNEST_APT_SOURCES"

scratch=$(mktemp -d)
chmod 755 "$scratch"
trap 'rm -rf --one-file-system "$scratch"' EXIT
root=$scratch/root

install_debian() {
    local included
    included=$(grep -v '^#' "$HERE/packages.txt" | paste -sd,)
    say "installing Debian packages"
    # Documentation, translations, link-time optimization and static copies of libraries are more than a third of it all.
    mmdebstrap --quiet --mode=root --variant=essential --format=directory --include="$included" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
        --dpkgopt='path-exclude=/usr/bin/*-lto-dump*' --dpkgopt='path-exclude=/usr/lib/*/libpython*.a' \
        --dpkgopt='path-exclude=/usr/lib/python3*/config-*/libpython*.a' \
        --dpkgopt='path-exclude=/usr/lib/gcc/*/lib*san.a' \
        "$SUITE" "$root" "$sources"
}

install_npm() {
    local work=$scratch/npm prefix=$root/usr/local name
    say "installing Node, npm and pnpm"
    mkdir "$work"
    cp "$HERE"/{package.json,package-lock.json,.npmrc} "$work"
    (cd "$work" && npm_config_cache="$scratch/npm-cache" npm ci --loglevel=error --no-progress >/dev/null)
    local node=$work/node_modules/node-linux-$cpu pnpm=$work/node_modules/@pnpm/exe.linux-$cpu/pnpm
    # npm takes an optional package that it could not get for one that is not needed here.
    [ -x "$node/bin/node" ] && [ -x "$pnpm" ] || fail "npm did not install the programs of Node and pnpm for linux-$cpu"

    mkdir -p "$prefix/lib/node_modules" "$prefix/include" "$prefix/share/doc/node"
    cp "$node/LICENSE" "$prefix/share/doc/node/"
    cp "$node/bin/node" "$prefix/bin/node"
    # Headers, for packages with a native part. Of OpenSSL's, which fill 60 MB, those of other machines are left out.
    cp -r "$node/include/node" "$prefix/include/"
    find "$prefix/include/node/openssl/archs" -mindepth 1 -maxdepth 1 ! -name 'linux-x86_64' ! -name 'linux-aarch64' \
        -exec rm -r {} +
    cp -r "$work/node_modules/npm" "$prefix/lib/node_modules/"
    rm -r "$prefix/lib/node_modules"/npm/{docs,man}
    for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "$prefix/bin/$name"; done
    install -m 755 "$HERE/files/node-gyp" "$prefix/bin/node-gyp"
    # One program that knows by its name what it is.
    mkdir "$prefix/lib/pnpm"
    for name in pnpm pnpx pn pnx; do
        ln "$pnpm" "$prefix/lib/pnpm/$name"
        install -m 755 "$HERE/files/pnpm" "$prefix/bin/$name"
    done
    install -D -m 644 "$HERE/files/npmrc" "$prefix/etc/npmrc"
}

# One archive for one tree: sorted, without names of users, fractions of seconds and what a file system adds.
pack() {
    local packed=$scratch/packed
    tar -C "$root" --sort=name --format=gnu --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime -cf "$packed" .
    case "$output" in
        *.gz) gzip -n -9 <"$packed" ;;
        *) cat "$packed" ;;
    esac >"$output.part"
    mv "$output.part" "$output"
}

install_debian
install_npm
say "removing what belongs to this machine and this moment"
"$HERE/finish.sh" "$root" "$HERE/package-lock.json"
pack
say "$(du -m "$output" | cut -f1) MB, sha256 $(sha256sum "$output" | cut -d' ' -f1)"
