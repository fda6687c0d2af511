//! `crownest admin retention …`.

use std::time::Duration;

use clap::Subcommand;
use schemas::id::ProjectId;

const MAX_DAYS: u64 = 36_500;

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// List how long artifacts are kept: by each plan, and by projects that differ from their plan
    List,
    /// Keep artifacts of a project for another time than its plan says
    #[command(after_help = "\
The retention covers artifacts of runs that end from now on; earlier runs keep the time that was announced for them
(retentionExpiresAt). When the time is over, the bytes are deleted and a tombstone with their digest is left. Event logs and
evidence have no retention: they stay.

Examples:
  crownest admin retention set prj_… --artifacts 14d
  crownest admin retention set prj_… --artifacts 12h")]
    Set {
        #[arg(value_name = "PRJ_ID")]
        project: ProjectId,
        /// For how long: a number of days, hours, minutes or seconds, such as 14d, 12h, 30m, 90s
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        artifacts: Duration,
    },
    /// Keep artifacts of a project as its plan says, again
    Clear {
        #[arg(value_name = "PRJ_ID")]
        project: ProjectId,
    },
    /// Change for how long a plan keeps artifacts of runs that end from now on
    SetPlan {
        #[arg(value_name = "PLAN")]
        plan: String,
        /// For how long: a number of days, such as 60d
        #[arg(long, value_name = "DAYS", value_parser = parse_time)]
        artifacts: Duration,
    },
}

/// A number and a unit.
fn parse_time(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a time of 1s to {MAX_DAYS}d, such as 14d, 12h, 30m or 90s");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(expected)?;
    let unit = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err(expected()),
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = digits.then(|| number.parse().ok()).flatten();
    let seconds = number.and_then(|number| number.checked_mul(unit));
    let seconds = seconds.filter(|seconds| (1..=MAX_DAYS * 86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("30m", 1_800), ("12h", 43_200), ("36500d", 3_153_600_000)] {
            assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "0s", "36501d", "+1d", "-1d", "1.5h", "1", "1w", "1é", "99999999999999999999d", "1 d"] {
            assert!(parse_time(text).is_err(), "{text:?}");
        }
    }
}
