#!/usr/bin/env bash
# Shows that what build.sh made works as CrowNest uses it: read-only, as user 1000, without network.
#   infra/templates/python-node/check.sh FILE.tar[.gz]
set -euo pipefail
umask 022

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SAMPLE=$HERE/../../sample
[ -r "${1:-}" ] || {
    echo "usage: infra/templates/python-node/check.sh FILE.tar[.gz]" >&2
    exit 64
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root work=$scratch/workspace
mkdir "$root" "$work"
tar -C "$root" -xf "$1"

failed=0
# check NAME COMMAND: in a workspace with the files of this folder's sample projects.
check() {
    local output
    if output=$(bwrap --unshare-all --die-with-parent --clearenv --uid 1000 --gid 1000 --ro-bind "$root" / \
        --proc /proc --dev /dev --perms 1777 --tmpfs /tmp --perms 0700 --tmpfs /home/runner --bind "$work" /workspace \
        --chdir /workspace --setenv PATH /home/runner/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        --setenv HOME /home/runner --setenv LANG C.UTF-8 --setenv TMPDIR /tmp --setenv CI true \
        timeout 120 sh -euc "$2" 2>&1 </dev/null); then
        printf 'ok      %s\n' "$1"
    else
        failed=1
        printf 'FAILED  %s\n%s\n' "$1" "$output"
    fi
}

cp -r "$SAMPLE" "$work/sample"
mkdir "$work/python" "$work/node" "$work/pinned" "$work/addon" "$work/extension"
printf 'def test_add():\n    assert 1 + 1 == 2\n' >"$work/python/test_add.py"
cat >"$work/node/add.test.mjs" <<'END'
import { test } from "node:test";
import assert from "node:assert";
test("adds", () => assert.equal(1 + 1, 2));
END
cp "$work/node/add.test.mjs" "$work/pinned/"
echo '{"name": "plain", "version": "1.0.0", "scripts": {"test": "node --test"}}' >"$work/node/package.json"
# Not the version in the template: pnpm would fetch the one that is named.
echo '{"name": "pinned", "version": "1.0.0", "packageManager": "pnpm@9.15.0", "scripts": {"test": "node --test"}}' \
    >"$work/pinned/package.json"
echo '{"name": "addon", "version": "1.0.0", "scripts": {"install": "node-gyp rebuild"}}' >"$work/addon/package.json"
echo '{"targets": [{"target_name": "addon", "sources": ["addon.c"]}]}' >"$work/addon/binding.gyp"
cat >"$work/addon/addon.c" <<'END'
#include <node_api.h>
NAPI_MODULE_INIT() { napi_value answer; napi_create_int32(env, 42, &answer); return answer; }
END
cat >"$work/extension/setup.py" <<'END'
from setuptools import Extension, setup
setup(name="answer", version="1.0", ext_modules=[Extension("answer", ["answer.c"])])
END
cat >"$work/extension/answer.c" <<'END'
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "answer", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_answer(void) { return PyModule_Create(&module); }
END

check "the tools answer" 'for tool in python python3 pip pytest node npm pnpm git gcc g++ make curl jq zstd
    do "$tool" --version; done; unzip -v; node -p process.release.lts | grep -v undefined'
check "nothing but the workspace and memory is writable" \
    '! touch /usr/x && ! touch /etc/x && ! touch /x && touch /workspace/x /tmp/x ~/x'
check "pytest" 'cd python && pytest -q'
check "the sample, with both suites" 'sh sample/run.sh'
check "npm test, without warnings" 'cd node && npm test 2>&1 | tee out && ! grep -q WARN -i out'
check "pnpm test" 'cd node && pnpm test && pnpm run test'
check "pnpm test where another pnpm is named, and pnpm says so" \
    'cd pinned && pnpm test >out 2>&1 && cat out && grep -q 9.15.0 out'
check "pnpm install --offline" 'cd pinned && pnpm install --offline'
check "a native addon of Node by npm, by pnpm and by itself, with the headers that are there" \
    'cd addon && node="node -p require(\"./build/Release/addon.node\")"
    for tool in "npm rebuild --foreground-scripts" "pnpm run install" "node-gyp rebuild"
    do rm -rf build && $tool && $node | grep -x 42; done'
check "a native extension of Python, installed for the user by pip" \
    'cd extension && pip install --no-index --no-build-isolation . && cd / && python -c "import answer"'
check "a virtual environment" 'python -m venv ~/venv && ~/venv/bin/pip --version'
check "C and C++" 'printf "int main(void){return 0;}" >a.c && gcc -flto -fsanitize=address a.c && ./a.out && g++ -x c++ a.c'
check "git makes commits" 'git init -q repo && cd repo && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m a'
check "npm and pnpm fail at once where they need the network" \
    'cd node && ! timeout 60 npm view left-pad --fetch-retries=0 && ! timeout 60 npm install left-pad --fetch-retries=0'
check "user and time zones" 'id -un | grep -x runner && TZ=Asia/Tokyo date +%Z | grep -x JST'

[ $failed = 0 ] || exit 1
