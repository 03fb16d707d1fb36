//! What becomes of objects that cannot be dumped, or not wholly: a dump ends with the first that it must refuse and warns
//! of what is lost; a survey takes note of both and looks on. The same code recognises them for both.

use crate::error::{Error, Result};
use crate::sys::Pid;
use serde::Serialize;

/// Hears of objects that cannot be dumped.
#[derive(Debug, Default)]
pub struct Refusals {
    /// What was found; none in a dump.
    noted: Option<Vec<Finding>>,
}

/// Something that a dump would not bring back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// The process that has it.
    #[serde(skip)]
    pub pid: i32,
    /// What a dump does about it.
    pub verdict: Verdict,
    /// Whether a dump waits for it to pass.
    #[serde(skip)]
    pub passing: bool,
    /// The object and what is the matter with it.
    pub what: String,
    /// What the user can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What a dump does about an object that it cannot save.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It fails, and leaves the tree alone.
    Refused,
    /// It warns and goes on without.
    Lost,
}

impl Refusals {
    /// Takes note instead of giving up.
    pub fn noting() -> Refusals {
        Refusals { noted: Some(Vec::new()) }
    }

    /// Whether notes are taken: the tasks run, and nothing may be asked of them.
    pub fn are_noted(&self) -> bool {
        self.noted.is_some()
    }

    /// What a step came to; none where it failed and note of that was taken, or where what it was about is gone.
    ///
    /// # Errors
    /// It failed in a dump, or somebody asked us to stop.
    pub fn hear<T>(&mut self, pid: Pid, result: Result<T>) -> Result<Option<T>> {
        match (result, &mut self.noted) {
            (Ok(value), _) => Ok(Some(value)),
            (Err(e), None) | (Err(e @ Error::Cancelled), _) => Err(e),
            (Err(e), Some(_)) if e.is_of_something_gone() => Ok(None),
            (Err(e), Some(noted)) => {
                let (what, help) = (e.to_string(), e.help());
                let finding = Finding { pid: pid.as_raw(), verdict: Verdict::Refused, passing: false, what, help };
                if !noted.contains(&finding) {
                    noted.push(finding);
                }
                Ok(None)
            }
        }
    }

    /// The same of something that may pass by itself, for which a dump waits when it stops the tree.
    ///
    /// # Errors
    /// As above.
    pub fn hear_of_passing(&mut self, pid: Pid, error: Error) -> Result<()> {
        self.hear(pid, Err::<(), _>(error))?;
        self.noted.iter_mut().filter_map(|noted| noted.last_mut()).for_each(|finding| finding.passing = true);
        Ok(())
    }

    /// Tells of something that a dump goes on without.
    pub fn lose(&mut self, pid: Pid, what: String) {
        match &mut self.noted {
            None => tracing::warn!("{what}"),
            Some(noted) => {
                noted.push(Finding { pid: pid.as_raw(), verdict: Verdict::Lost, passing: false, what, help: None })
            }
        }
    }

    /// Everything that was noted.
    pub fn into_findings(self) -> Vec<Finding> {
        self.noted.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_ends_where_a_survey_goes_on() {
        let fails = || Err::<(), _>(Error::unsupported("a thing", "it is odd").with_help("leave it"));
        assert!(Refusals::default().hear(Pid::this(), fails()).is_err());
        let mut noting = Refusals::noting();
        assert!(matches!(noting.hear(Pid::this(), fails()), Ok(None)));
        assert!(matches!(noting.hear(Pid::this(), Ok(1)), Ok(Some(1))));
        noting.lose(Pid::this(), "half of it is lost".to_owned());
        let found = noting.into_findings();
        assert_eq!(found.iter().map(|f| f.verdict).collect::<Vec<_>>(), [Verdict::Refused, Verdict::Lost]);
        assert_eq!(found[0].help.as_deref(), Some("leave it"));
    }

    #[test]
    fn what_is_gone_is_no_finding() {
        let mut noting = Refusals::noting();
        let gone = Err::<(), _>(Error::Kernel { doing: "look".into(), errno: crate::sys::Errno::EBADF, help: None });
        assert!(matches!(noting.hear(Pid::this(), gone), Ok(None)));
        assert!(noting.into_findings().is_empty());
    }
}
