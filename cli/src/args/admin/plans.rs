//! `crownest admin plans …`.

use clap::Subcommand;

use crate::args::size::parse_size;

#[derive(Debug, Subcommand)]
pub(crate) enum PlansCommand {
    /// List the bounds of all plans for the artifacts of a run
    List,
    /// Change the bounds of a plan for the artifacts of runs that are started from now on
    #[command(after_help = "\
A bound that is not given is the executor's own again (--artifact-bytes, --artifact-run-bytes, --artifacts, --collection-ms).
What does not fit is an artifact error in the run's evidence that names the bound.

Examples:
  crownest admin plans set-artifacts free --run-bytes 1G --collection-ms 60000
  crownest admin plans set-artifacts free")]
    SetArtifacts {
        #[arg(value_name = "PLAN")]
        plan: String,
        /// Bytes of one artifact, such as 100M
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        artifact_bytes: Option<u64>,
        /// Bytes of all artifacts of a run, such as 2G
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        run_bytes: Option<u64>,
        /// Artifacts of a run
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
        artifacts: Option<u64>,
        /// Time for collecting the artifacts of a run, in milliseconds
        #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
        collection_ms: Option<u64>,
    },
}
