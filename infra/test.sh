#!/usr/bin/env bash
# Every check and every test, in the order of what they cost; stops at the first that fails. As root, on Debian 12 with
# Rust, git and python3: everything else is installed. The last line is the summary of the test runner.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Where infra/setup.sh puts programs of its own.
: "${HOME:=/root}"
export HOME PATH="$PATH:/opt/crownest/bin:${XDG_DATA_HOME:-$HOME/.local/share}/crownest/bin:${CARGO_HOME:-$HOME/.cargo}/bin"

current=""
heading() { current=$*; printf '\n=== %s\n' "$*"; }
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

heading "schemas: schemas/json is what the code says"
cargo run -q --locked -p crownest-schemas -- --check schemas/json

heading "OpenAPI: schemas/openapi.json is what the code says"
cargo run -q --locked -p crownest-ingest --bin crownest-ingest -- openapi | diff schemas/openapi.json - ||
    { echo "run \`cargo run -p crownest-ingest -- openapi > schemas/openapi.json\` and commit the result"; exit 1; }

heading "build: the tests start these programs"
cargo build --workspace --locked

heading "fuzzing: some seconds for each reader of strangers' bytes"
# The same beginning each time: what is found long after a change should not stop another one.
fuzz/run.sh --seconds 6 --seed 1

heading "tests"
rm -rf "$scratch"
# The services that the tests share stop by themselves soon after the last test. Nothing is printed any more: the
# runner's summary is the last line.
trap - EXIT
code=0
cargo nextest run --workspace --locked --no-fail-fast || code=$?
testbed="$(cargo metadata --format-version 1 --no-deps --locked | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/debug/crownest-testbed"
for _ in $(seq 120); do
    pgrep -f "^$testbed" >/dev/null || break
    sleep 0.5
done
exit $code
