//! What a run tells while it goes on: to the user's screen, or as lines of JSON to the harness outside of a machine.

use crate::report::{CaseResult, Screen, Summary};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An event of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// Cells are about to be run.
    Start(Start),
    /// One is through.
    Result(Box<CaseResult>),
}

/// What is known when a run starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Start {
    /// The engine's path.
    pub engine: PathBuf,
    /// What the random instants derive from.
    pub seed: u64,
    /// How many results there will be.
    pub total: usize,
    /// The longest time in seconds in which no result may come.
    pub longest: f64,
}

/// Who is told.
pub enum Listener {
    /// The user.
    Screen(Screen),
    /// The harness outside.
    Events,
}

impl Listener {
    /// Tells that a run starts.
    pub fn start(events: bool, start: Start) -> Listener {
        if events {
            put(&Event::Start(start));
            return Listener::Events;
        }
        println!("engine {}, seed {}", start.engine.display(), start.seed);
        Listener::Screen(Screen::new(start.total))
    }

    /// Tells a result.
    pub fn result(&mut self, result: &CaseResult) {
        match self {
            Listener::Screen(screen) => screen.show(result),
            Listener::Events => put(&Event::Result(Box::new(result.clone()))),
        }
    }

    /// Tells the end.
    pub fn close(&self, summary: &Summary) {
        if let Listener::Screen(screen) = self {
            screen.close(summary);
        }
    }
}

fn put(event: &Event) {
    match serde_json::to_string(event) {
        Ok(line) => println!("{line}"),
        Err(e) => eprintln!("zdtm: an event is lost: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Failure;
    use crate::cli::Flavour;
    use crate::report::Status;
    use crate::route::Route;

    #[test]
    fn events_come_back_as_they_were() {
        let failure = Failure::with("fd 5", vec!["more".to_owned()]);
        for status in [
            Status::Pass,
            Status::Skip { reason: "why".to_owned() },
            Status::Fail { failure, kept: Some("/k/a-b.once".into()) },
        ] {
            let (case, flavour, route) = ("a/b".to_owned(), Flavour::Host, Route::Once);
            let result = CaseResult {
                case,
                flavour,
                route,
                repeat: 1,
                seconds: 0.5,
                phases: vec![("dump".to_owned(), 0.1)],
                status,
            };
            let text = serde_json::to_string(&Event::Result(Box::new(result))).unwrap();
            let again: Event = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), text);
        }
    }
}
