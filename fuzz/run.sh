#!/usr/bin/env bash
# Feeds everything that reads strangers' bytes with bytes that nobody would write, guided by the code that they reach.
#   fuzz/run.sh [--seconds N] [--seed N] [--corpus FOLDER] [TARGET …]
# N seconds for each target (10), two at a time; all targets unless some are named. Each search begins in another way,
# unless a seed is given. Inputs that reach new code are kept in FOLDER (by default: nowhere). A finding is printed,
# kept below target/fuzz-findings, and makes this script fail: run it again with the TARGET and, as CROWNEST_FUZZ_INPUT, the
# file; then put the file into fuzz/findings/TARGET/ and mend what it broke.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=10
corpus=""
seed=0
targets=()
while [ $# -gt 0 ]; do
    case "$1" in
        --seconds) seconds=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --corpus) corpus=$2; shift 2 ;;
        -*) sed -n '2,8s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 64 ;;
        *) targets+=("$1"); shift ;;
    esac
done
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(sed -n 's/.*Target { name: "\([a-z-]*\)".*/\1/p' fuzz/src/lib.rs)
fi

# With the features of the whole workspace, whose dependencies are built already.
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/instrument.sh \
    cargo build --quiet --locked --workspace --bin crownest-fuzz --features crownest-fuzz/libfuzzer
folder="$(cargo metadata --format-version 1 --no-deps --locked | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"
program=$folder/debug/crownest-fuzz
findings=$folder/fuzz-findings

if [ -n "${CROWNEST_FUZZ_INPUT:-}" ]; then
    CROWNEST_FUZZ_TARGET=${targets[0]} exec "$program" "$CROWNEST_FUZZ_INPUT"
fi

# In memory if possible: extraction makes many files.
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" crownest-fuzz-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$findings" "$scratch/tmp"

run() {
    local target=$1 known=$scratch/$1.known log=$scratch/$1.log code=0
    if [ -n "$corpus" ]; then known=$corpus/$target; fi
    mkdir -p "$known"
    # An input that takes 20 s or 1 GB is a finding too.
    CROWNEST_FUZZ_TARGET=$target CROWNEST_FUZZ_SEEDS=$scratch/$target.seeds TMPDIR=$scratch/tmp \
        "$program" -seed="$seed" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=8192 -len_control=20 \
        -use_value_profile=1 -dict="$scratch/$target.dict" -print_final_stats=1 -verbosity=1 -artifact_prefix="$findings/$target-" \
        "$known" "$scratch/$target.seeds" >"$log" 2>&1 || code=$?
    if [ $code -ne 0 ]; then
        printf '%s: found something\n' "$target"
        grep -vE '^#|^INFO|^WARNING|^Dictionary|NEW_FUNC|^NOTE|# Uses:| [0-9]+: |^ +at ' "$log" | head -40
        return 1
    fi
    printf '%-16s %9s inputs, %7s a second, %5s edges\n' "$target" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)"
}

failed=0
running=0
for target in "${targets[@]}"; do
    run "$target" &
    running=$((running + 1))
    if [ $running -ge 2 ]; then
        wait -n || failed=1
        running=$((running - 1))
    fi
done
while [ $running -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
exit $failed
