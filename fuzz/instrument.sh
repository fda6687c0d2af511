#!/bin/sh
# Cargo's wrapper around rustc for the workspace's own crates: those that read strangers' bytes get the instrumentation
# that libFuzzer needs, and optimization. This works on stable Rust, and no other crate has to be built again.
rustc=$1
shift
# Build scripts are not linked with libFuzzer.
if [ "${CARGO_CRATE_NAME:-}" = build_script_build ]; then exec "$rustc" "$@"; fi
case "${CARGO_PKG_NAME:-}" in
    crownest-schemas | crownest-executor | crownest-ingest | crownest-verifier | crownest-fuzz) ;;
    *) exec "$rustc" "$@" ;;
esac
exec "$rustc" "$@" -Copt-level=1 -Cdebug-assertions=on -Ccodegen-units=16 \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
