//! The purpose of a new helper, as the executor tells the fork server.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Run,
    UserNamespace,
}

impl Task {
    const ALL: [Self; 2] = [Self::Run, Self::UserNamespace];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::UserNamespace => "user-namespace",
        }
    }

    pub(crate) fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.word().as_bytes() == word)
    }
}
