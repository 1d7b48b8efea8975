//! What a check finds.

/// What is, what that means, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) is: String,
    pub(super) means: String,
    pub(super) todo: Option<String>,
}

/// Whether something is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well.
    Ok,
    /// Something is not to be had, which some need.
    Note,
    /// Something does not work.
    ToDo,
}

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::ToDo => "to do",
        }
    }
}

impl Finding {
    pub(super) fn ok(is: impl Into<String>, means: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Ok, is: is.into(), means: means.into(), todo: None }
    }

    pub(super) fn note(
        is: impl Into<String>,
        means: impl Into<String>,
        todo: impl Into<String>,
    ) -> Finding {
        let todo = Some(todo.into());
        Finding { verdict: Verdict::Note, is: is.into(), means: means.into(), todo }
    }

    pub(super) fn to_do(
        is: impl Into<String>,
        means: impl Into<String>,
        todo: impl Into<String>,
    ) -> Finding {
        Finding { verdict: Verdict::ToDo, ..Finding::note(is, means, todo) }
    }
}
