//! How a command ends when it cannot do its work: the message, the hint and the exit code.
//!
//! Exit codes are declared here and nowhere else; `seaworthy --help` prints the table below.

use std::process::ExitCode;

/// Shown at the end of `seaworthy --help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    something unexpected; please report it
  2    the command line is wrong
  3    the input is wrong: compose file, chart, values
  4    an image could not be built, found or pulled
  5    the cluster cannot be reached or started
  6    the release failed, or is not ready in time
  7    there are differences, and `diff --exit-code` was asked to say so
  130  interrupted";

/// What a caller, or a script, can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Unexpected = 1,
    Input = 3,
    Image = 4,
    Cluster = 5,
    Release = 6,
    Differs = 7,
    Interrupted = 130,
}

/// An error with its exit code, and the next thing to try where we know one.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub error: anyhow::Error,
    pub hint: Option<String>,
}

pub type Outcome = Result<(), Failure>;

impl Failure {
    pub fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Self { kind, error: error.into(), hint: None }
    }

    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, anyhow::anyhow!("interrupted"))
            .hint("nothing is lost: run the same command again to continue")
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }

    /// The message, its causes and the hint, a line each.
    pub fn render(&self) -> String {
        let mut text = format!("error: {}\n", self.error);
        let mut last = self.error.to_string();
        for cause in self.error.chain().skip(1).map(ToString::to_string) {
            // Some libraries repeat their source in their own message.
            if !last.contains(&cause) {
                text.push_str(&format!("  because: {cause}\n"));
            }
            last = cause;
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("  hint: {hint}\n"));
        }
        text
    }
}

/// Puts an exit code on any error.
pub trait Or<T> {
    fn or_fail(self, kind: Kind, tried: impl std::fmt::Display + Send + Sync + 'static)
    -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Or<T> for Result<T, E> {
    fn or_fail(
        self,
        kind: Kind,
        tried: impl std::fmt::Display + Send + Sync + 'static,
    ) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(kind, error.into().context(tried.to_string())))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::new(Kind::Unexpected, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_like_a_colleague() {
        let cause = std::io::Error::other("no space left on device");
        let failed: Result<(), _> = Err(cause).or_fail(Kind::Cluster, "cannot start drydock");
        let failure = failed.unwrap_err().hint("free some space");
        assert_eq!(
            failure.render(),
            "error: cannot start drydock\n  because: no space left on device\n  hint: free some space\n"
        );
    }
}
