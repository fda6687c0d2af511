//! Turning an argument vector into a line for `sh -c` that yields the same vector again (POSIX shell quoting).

/// Words with a meaning of their own where a command is expected, in dash or bash.
const RESERVED: &[&str] = &[
    "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "select", "then",
    "time", "until", "while",
];

/// One argument is a shell command line already; several are quoted, so that they arrive unchanged.
pub(crate) fn command_line(args: &[String]) -> String {
    match args {
        [line] => line.clone(),
        args => args.iter().map(|arg| quote(arg)).collect::<Vec<_>>().join(" "),
    }
}

fn quote(word: &str) -> String {
    // `=` is not plain: `a=b` in front of a command would be an assignment.
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !RESERVED.contains(&word) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owned(args: &[&str]) -> Vec<String> {
        args.iter().map(|&arg| arg.to_owned()).collect()
    }

    #[test]
    fn quotes_only_what_needs_it() {
        assert_eq!(command_line(&owned(&["npm ci && npm test"])), "npm ci && npm test");
        assert_eq!(command_line(&owned(&["pytest", "-k", "not slow"])), "pytest -k 'not slow'");
        assert_eq!(command_line(&owned(&["echo", "it's", ""])), r"echo 'it'\''s' ''");
        assert_eq!(command_line(&owned(&["A=b", "c"])), "'A=b' c");
        assert_eq!(command_line(&owned(&["if", "~"])), "'if' '~'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_real_shell_gives_the_arguments_back(args in prop::collection::vec("[^\0]{0,12}", 1..5)) {
            let mut command = owned(&["printf", r"%s\0"]);
            command.extend(args.iter().cloned());
            let output = std::process::Command::new("sh").arg("-c").arg(command_line(&command)).output().unwrap();
            let expected: String = args.iter().flat_map(|arg| [arg.as_str(), "\0"]).collect();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        }
    }
}
