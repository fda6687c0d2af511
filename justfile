# The commands that one uses every day. Nothing requires `just`: each recipe also works when it is typed.

# List the recipes
default:
    @just --list

# Install what builds, checks and tests need (Debian 12; as root)
setup:
    infra/setup.sh --test

# Build, start everything, run the sample and fetch its evidence (as root)
quickstart:
    infra/quickstart.sh

# Run every check and every test, as CI does (as root)
ci:
    infra/test.sh

# Build all programs, as the tests start them
build:
    cargo build --workspace --locked

# Format the code, then report what the linter and the documents' checks find
check:
    cargo fmt --all
    cargo clippy --workspace --all-targets --locked -- -D warnings
    infra/check-docs.py

# Run tests: all of them, or those that the arguments choose (`just test -p crownest-tests killed`)
test *ARGS: build
    cargo nextest run --locked {{ ARGS }}

# Check the documents: links, names, and every command that they show
docs: build
    infra/check-docs.py
    infra/check-docs.py --programs "${CARGO_TARGET_DIR:-target}/debug"

# Write the generated files anew: JSON Schemas, the OpenAPI document, the present schema of the database
generate: build
    cargo run -q --locked -p crownest-schemas -- schemas/json
    cargo run -q --locked -p crownest-ingest --bin crownest-ingest -- openapi > schemas/openapi.json.new
    mv schemas/openapi.json.new schemas/openapi.json
    UPDATE_SCHEMA=1 cargo nextest run --locked -p crownest-tests schema_files

# Search for inputs that break a reader of strangers' bytes (`just fuzz --seconds 3600 archive`)
fuzz *ARGS:
    fuzz/run.sh {{ ARGS }}

# Compare CrowNest with bare bubblewrap, on an otherwise idle machine (as root)
bench *ARGS:
    cargo build --release --locked --workspace --bins
    "${CARGO_TARGET_DIR:-target}/release/crownest-bench" {{ ARGS }}
