#!/usr/bin/env bash
# Every check and every test, in the order of what they cost; stops at the first that fails. As root, on Debian 12 with
# Rust, git and python3: everything else is installed. The last line is the summary of the test runner.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Where infra/setup.sh puts programs of its own.
: "${HOME:=/root}"
export HOME PATH="$PATH:/opt/crownest/bin:${XDG_DATA_HOME:-$HOME/.local/share}/crownest/bin:${CARGO_HOME:-$HOME/.cargo}/bin"
# CI's build folder is built once and thrown away: it needs neither state for the next build nor line numbers in backtraces.
if [ "${CI:-}" = true ]; then export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0; fi

current=""
began=$SECONDS
heading() {
    if [ -n "$current" ]; then printf '    (%s s)\n' $((SECONDS - began)); fi
    current=$* began=$SECONDS
    printf '\n=== %s\n' "$*"
}
scratch=$(mktemp -d)
ended() {
    local code=$?
    rm -rf "$scratch"
    if [ $code -ne 0 ]; then printf '\ntest.sh: failed at: %s\n' "$current" >&2; fi
}
trap ended EXIT

heading "scripts: syntax"
for script in infra/*.sh infra/sample/run.sh infra/templates/*/*.sh fuzz/*.sh .ci/run; do bash -n "$script"; done

heading "setup: what checks and tests need"
infra/setup.sh --test

heading "format"
cargo fmt --all --check
# Not a module of a crate: the build script of the sandbox compiles it.
rustfmt --check --edition 2024 executor/sandbox/src/kernel/landlock/program.rs

heading "documents: links, sizes, names, shell blocks"
infra/check-docs.py

heading "dependencies: bans, licenses, sources"
cargo deny --locked check bans licenses sources

heading "sample: passes outside of a sandbox too"
cp -r infra/sample "$scratch/sample"
if ! env -i PATH=/usr/local/bin:/usr/bin:/bin sh "$scratch/sample/run.sh" >"$scratch/sample.log" 2>&1; then
    cat "$scratch/sample.log"
    exit 1
fi

heading "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

heading "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

heading "build: programs and tests"
# Everything at once: what is built for fewer crates has other features, and is built again.
cargo build --workspace --all-targets --locked
programs="$(cargo metadata --format-version 1 --no-deps --locked | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/debug"

heading "schemas: schemas/json is what the code says"
"$programs/crownest-schemas" --check schemas/json

heading "OpenAPI: schemas/openapi.json is what the code says"
"$programs/crownest-ingest" openapi | diff schemas/openapi.json - ||
    { echo "run \`cargo run -p crownest-ingest -- openapi > schemas/openapi.json\` and commit the result"; exit 1; }

heading "documents: the commands that they show"
infra/check-docs.py --programs "$programs"

heading "fuzzing: some seconds for each reader of strangers' bytes"
# The same beginning each time: what is found long after a change should not stop another one.
fuzz/run.sh --seconds 6 --seed 1

heading "tests"
code=0
cargo nextest run --workspace --locked --no-fail-fast 2>&1 | tee "$scratch/tests.log" || code=$?
# The services that the tests share stop by themselves soon after the last test.
for _ in $(seq 120); do
    pgrep -f "^$programs/crownest-testbed" >/dev/null || break
    sleep 0.5
done

printf '\n=== the slowest tests\n'
sed -nE 's/^ *(PASS|FAIL|TIMEOUT|ABORT) \[ *([0-9.]+)s\] (\([^)]*\) )?(.*)/\2 s  \4/p' "$scratch/tests.log" | sort -rn | uniq | sed -n '1,10p'
# Once more, as the last lines: what the runner says in the end.
printf '\n'
sed -n '/^ *Summary \[/,$p' "$scratch/tests.log"
rm -rf "$scratch"
trap - EXIT
exit $code
