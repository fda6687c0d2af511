//! Environment variables for a run: from flags, from the caller's own environment, from files. Their values never
//! reach a message.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use infra::config::Secret;
use schemas::env::{EnvValues, is_name, is_reserved};

use crate::failure::Failure;

#[derive(Debug, Default, Args)]
pub(crate) struct EnvArgs {
    /// Environment variable of the command, may be repeated. NAME alone takes its value from this environment, which
    /// keeps it out of the process list. Values are encrypted at rest and replaced by *** in the output
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub env: Vec<Secret>,
    /// File with environment variables, one NAME=VALUE or NAME a line, taken as they are; # begins a comment line.
    /// May be repeated; --env wins
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
}

impl EnvArgs {
    /// `None` when there are no variables. Among equals the last one counts.
    pub(crate) fn read(&self) -> Result<Option<EnvValues>, Failure> {
        let mut values = BTreeMap::new();
        for path in &self.env_file {
            read_file(path, &mut values)?;
        }
        for (index, variable) in self.env.iter().enumerate() {
            let (name, value) = variable_of(variable.reveal(), &format!("--env number {}", index + 1))?;
            values.insert(name, value);
        }
        Ok((!values.is_empty()).then(|| values.into()))
    }
}

fn read_file(path: &Path, values: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    for (index, line) in text.lines().enumerate() {
        if !line.trim().is_empty() && !line.starts_with('#') {
            let (name, value) = variable_of(line, &format!("{}, line {}", path.display(), index + 1))?;
            values.insert(name, value);
        }
    }
    Ok(())
}

fn variable_of(text: &str, place: &str) -> Result<(String, String), Failure> {
    let (name, given) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if !is_name(name) {
        // Not shown: it may well be a value without its name.
        let expected = "expected NAME=VALUE or NAME, a name of letters, digits and _ (not shown, it may be secret)";
        return Err(Failure::new("invalid_env", format!("{place}: {expected}")));
    }
    if is_reserved(name) {
        return Err(Failure::new("reserved_env_key", format!("{place}: {name} is a name of the sandbox's own"))
            .hint("Reserved are CROWNEST_*, HOME, LOGNAME, SHELL, TMPDIR and USER; the command itself may set them."));
    }
    let value = given.map_or_else(|| inherited(name, place), Ok)?;
    Ok((name.to_owned(), value))
}

fn inherited(name: &str, place: &str) -> Result<String, Failure> {
    let problem = match std::env::var(name) {
        Ok(value) => return Ok(value),
        Err(std::env::VarError::NotPresent) => "is not set in this environment",
        Err(std::env::VarError::NotUnicode(_)) => "is not UTF-8 in this environment",
    };
    Err(Failure::new("invalid_env", format!("{place}: {name} {problem}"))
        .hint(format!("Set it, or give the value as {name}=VALUE.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(env: &[&str], file: &str) -> Result<Vec<(String, String)>, String> {
        let path = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(path.path(), file).expect("it can be written");
        let args =
            EnvArgs { env: env.iter().copied().map(Secret::new).collect(), env_file: vec![path.path().to_owned()] };
        match args.read() {
            Ok(values) => Ok(values.unwrap_or_default().reveal().clone().into_iter().collect()),
            Err(failure) => Err(failure.message),
        }
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn flags_win_over_files_and_values_are_taken_as_they_are() {
        let given = read(&["A=1=2", "B="], "# none\n\nA=file\nC= \"quoted\" # kept\n");
        assert_eq!(given, Ok(vec![pair("A", "1=2"), pair("B", ""), pair("C", " \"quoted\" # kept")]));
        assert_eq!(read(&[], ""), Ok(vec![]));
    }

    #[test]
    fn a_name_alone_is_inherited() {
        let path = std::env::var("PATH").expect("tests have a PATH");
        assert_eq!(read(&["PATH"], ""), Ok(vec![pair("PATH", &path)]));
        assert!(read(&["CN_NOT_SET"], "").unwrap_err().contains("CN_NOT_SET is not set"));
    }

    #[test]
    fn no_message_has_a_value() {
        for (env, file) in
            [(&["=hunter22"][..], ""), (&["hunter-22"], ""), (&[], "ok=1\n1=hunter22"), (&["HOME=hunter22"], "")]
        {
            let message = read(env, file).unwrap_err();
            assert!(!message.contains("hunter"), "{message}");
        }
        assert!(read(&[], "ok=1\n\n1=x").unwrap_err().contains("line 3"));
    }
}
