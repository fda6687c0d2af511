#!/usr/bin/env bash
# Turns a tree with the packages installed into the template's root: its user, its mount points, a manifest, and nothing of
# the machine or the moment that it was built on. build.sh calls it.
#   finish.sh ROOT PACKAGE-LOCK
set -euo pipefail
umask 022
root=$1 lock=$2

# What installing leaves behind: logs, caches, locks, backups, and copies of the build machine's configuration.
remove_traces() {
    cd "$root"
    find dev proc run sys tmp boot media mnt srv root var/cache var/log var/tmp -mindepth 1 -delete
    rm -rf etc/apt var/lib/apt var/lib/systemd var/lib/pam var/lib/python etc/dpkg/dpkg.cfg.d/99mmdebstrap
    rm -f etc/{machine-id,resolv.conf,fstab,.pwd.lock} etc/{passwd,group,shadow,gshadow,subuid,subgid}- \
        etc/{subuid,subgid} var/lib/dpkg/{*-old,lock*,triggers/Lock,triggers/Unincorp}
    # Debian's mark that pip shall leave the system alone. Here the system is read-only, and everything that pip can write to
    # goes with the run.
    rm -f usr/lib/python3*/EXTERNALLY-MANAGED
    cd - >/dev/null
}

# The sandbox mounts its own over these, and brings its own user; this one is for tools that look at the tree alone.
add_user_and_mount_points() {
    mkdir -p "$root/workspace" "$root/home/runner"
    chmod 700 "$root/home/runner"
    echo 'runner:x:1000:1000:runner:/home/runner:/bin/sh' >>"$root/etc/passwd"
    echo 'runner:x:1000:' >>"$root/etc/group"
    echo 'runner:*:::::::' >>"$root/etc/shadow"
    echo 'runner:*::' >>"$root/etc/gshadow"
    printf '127.0.0.1 localhost crownest\n::1 localhost\n' >"$root/etc/hosts"
    echo crownest >"$root/etc/hostname"
}

# Bytecode as Debian compiles it has the time of the source in it. This kind has the source's digest, and is not compared
# with the source at each start: nobody can change either.
compile_python() {
    find "$root/usr" -type d -name __pycache__ -exec rm -r {} +
    # Some files are examples of what does not compile (lib2to3's tests, Python 2): the exit code says nothing.
    chroot "$root" env -i PATH=/usr/bin PYTHONHASHSEED=0 python3 -m compileall -q -j1 \
        --invalidation-mode unchecked-hash -x 'lib2to3/tests|/bad_' /usr/lib/python3.11 /usr/lib/python3
}

# Links that begin with / would lead out of the tree as long as it is not the root.
relativize_links() {
    local link target
    find "$root" -type l -lname '/*' -print0 | while IFS= read -r -d '' link; do
        target=$(realpath -ms --relative-to="${link%/*}" "$root$(readlink "$link")")
        ln -sfn "$target" "$link"
    done
}

# Nothing gains rights in the sandbox, by any bit. Owners of the system's groups mean nothing in it either.
set_modes() {
    chown -hR 0:0 "$root"
    find "$root" -type f -perm /6000 -exec chmod ug-s {} +
    find "$root" -type d -perm /6000 -exec chmod ug-s {} +
    chmod 755 "$root" "$root"/{dev,proc,run,sys,workspace}
    chmod 1777 "$root"/{tmp,var/tmp}
    chown 1000:1000 "$root/home/runner"
}

# One line for each package: where from, name, version, and what tells its bytes.
write_manifest() {
    local manifest=$root/usr/share/crownest/manifest
    mkdir -p "${manifest%/*}"
    {
        printf '# CrowNest template python-node: origin, package, version, architecture or digest\n'
        chroot "$root" dpkg-query -W -f 'debian\t${Package}\t${Version}\t${Architecture}\n' | sort
        python3 - "$lock" "$root" <<'PYTHON'
import json, os, sys
lock, root = sys.argv[1:]
arch = "x64" if os.path.isdir(f"{root}/usr/lib/x86_64-linux-gnu") else "arm64"
for path, package in sorted(json.load(open(lock))["packages"].items()):
    name = path.removeprefix("node_modules/")
    native = name.startswith(("node-linux-", "@pnpm/exe."))
    if path.count("node_modules/") == 1 and (not native or name.endswith(f"linux-{arch}")):
        print("npm", name, package["version"], package["integrity"], sep="\t")
PYTHON
    } >"$manifest"
}

remove_traces
add_user_and_mount_points
compile_python
relativize_links
write_manifest
set_modes
