#!/usr/bin/env bash
# From a fresh clone to a finished run with its evidence, on one Debian machine, as root:
#   infra/quickstart.sh
# Installs what is missing, builds, starts CrowNest in the background, runs infra/sample in a sandbox and writes
# ./evidence.json. Safe to run again: it keeps what exists, and makes a new run.
#   CROWNEST_DATA       data folder (default: /var/lib/crownest)
#   CARGO_TARGET_DIR    build folder (default: target/ beside the sources)
set -euo pipefail

HERE=$PWD
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Relative folders are relative to the caller's current directory.
absolute() { case "$1" in /*) printf %s "$1" ;; *) printf %s "$HERE/$1" ;; esac; }
DATA=$(absolute "${CROWNEST_DATA:-/var/lib/crownest}")
TARGET=$(absolute "${CARGO_TARGET_DIR:-$ROOT/target}")
CROWNEST=$TARGET/release/crownest
EVIDENCE=$HERE/evidence.json
export CROWNEST_DATA=$DATA CARGO_TARGET_DIR=$TARGET

say() { printf '\n==> %s\n' "$*"; }

current="" advice=""
step() { # step NAME ADVICE
    current=$1 advice=$2
    say "$1"
}
scratch=$(mktemp -d)
ended() {
    local code=$?
    rm -rf "$scratch"
    if [ $code -ne 0 ]; then
        printf '\nquickstart: failed (exit code %s) at: %s\n  %s\n' "$code" "${current:-the beginning}" "$advice" >&2
    fi
}
trap ended EXIT

if [ "$(id -u)" != 0 ]; then
    advice="This installs packages and builds a template, which needs root: run it in a root shell or with sudo. What is built then
  also runs for an ordinary user: see docs/reference/sandbox.md, \"Without root\"."
    exit 1
fi

step "1/6 installing what is missing (infra/setup.sh)" \
    "See the lines above that say MISSING; install what they name, then run this again."
"$ROOT/infra/setup.sh"

step "2/6 building (some minutes the first time)" \
    "See the compiler's message above. Rust 1.95 or newer is needed; \`rustup update stable\` gets it."
(cd "$ROOT" && cargo build --release --locked --config infra/quickstart.toml \
    -p crownest -p crownest-sandbox --bin crownest --bin crownest-sandbox)

# One value of `crownest … --json`, by its path in the answer; empty where there is none.
value() {
    python3 -c '
import json, sys
try:
    at = json.load(sys.stdin)
    for name in sys.argv[1:]:
        at = at[int(name) if name.isdigit() else name]
    print(at)
except (ValueError, KeyError, IndexError):
    pass' "$@"
}

step "3/6 starting CrowNest on $DATA" \
    "See $DATA/crownest.log and $DATA/*/log; \`$CROWNEST down --data $DATA\` ends whatever is left, then run this again."
"$CROWNEST" up --detach
# Asks once more, in JSON: this starts nothing and tells where everything is.
state=$("$CROWNEST" up --detach --json)
if [[ "$(readlink "/proc/$(value data pid <<<"$state")/exe" || true)" == *" (deleted)" ]]; then
    echo "the running system was built from other sources: restarting it"
    "$CROWNEST" down
    "$CROWNEST" up --detach
    state=$("$CROWNEST" up --detach --json)
fi
# For the commands below only: a saved `crownest login` stays as it is.
CROWNEST_API_URL=$(value data apiUrl <<<"$state")
key_file=$(value data keyFile <<<"$state")
CROWNEST_API_KEY=$(cat "$key_file")
export CROWNEST_API_URL CROWNEST_API_KEY
unset CROWNEST_BEARER_TOKEN

# The template with the runs' tools. Built once; without a template, runs see this machine's own /usr.
step "4/6 the template python-node (infra/templates/python-node)" \
    "See $DATA/crownest.log."
import_template() {
    local folder=$ROOT/infra/templates/python-node
    "$folder/build.sh" "$scratch/python-node.tar" || return
    "$CROWNEST" admin templates import --slug python-node --version "$(date -u +%Y-%m-%d)" "$scratch/python-node.tar"
}
# The current version was imported by somebody, or came with the database.
if "$CROWNEST" admin templates list --json | python3 -c '
import json, sys
sys.exit(not any(one["slug"] == "python-node" and one["isCurrent"] and "sha256" in one for one in json.load(sys.stdin)["data"]))'
then
    echo "the template was imported before"
elif ! import_template; then
    echo "quickstart: the template could not be built (see above): runs use this machine's own /usr instead" >&2
fi
rm -f "$scratch/python-node.tar"

step "5/6 running infra/sample in a sandbox" \
    "The run's own output is above. If the sandbox could not start, see $DATA/crownest.log."
archive=$scratch/sample.tgz
# The same files give the same bytes on every machine, so CrowNest stores and extracts them once.
tar -C "$ROOT/infra/sample" --sort=name --format=ustar --mtime=@1767225600 --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX --exclude=./reports --exclude=__pycache__ -cf - . | gzip -n -9 >"$archive"
marker=$(cat /proc/sys/kernel/random/uuid)
code=0
"$CROWNEST" workspace-runs run-archive "$archive" --template python-node --metadata "quickstart=$marker" \
    --artifact reports/junit.xml=junit.xml --artifact reports/report.html=report.html -- sh run.sh || code=$?
run=$("$CROWNEST" workspace-runs list --metadata "quickstart=$marker" --limit 1 --json | value data 0 id)

step "6/6 fetching the evidence of ${run:-the run}" \
    "The run was not recorded; see $DATA/crownest.log."
[ -n "$run" ]
"$CROWNEST" workspace-runs evidence "$run" --wait --output "$EVIDENCE"
if [ $code -ne 0 ]; then
    current="the command in the sandbox" advice="Its output is above. What is known about it: $EVIDENCE"
    exit $code
fi

cat <<SUMMARY

CrowNest runs, and $run succeeded.
  evidence   $EVIDENCE
  API        $CROWNEST_API_URL/v1
  key        $key_file
  again      $CROWNEST workspace-runs logs $run
  ask        $CROWNEST query --data $DATA "select outcome, count(*) from runs group by all"   (in a minute)
  status     $CROWNEST status --data $DATA
  stop       $CROWNEST down --data $DATA
SUMMARY
