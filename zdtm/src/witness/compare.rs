//! The differences between two witnesses, as lines for the report.

use super::Witness;
use super::area::Area;
use serde_json::Value;

/// What may differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tolerance {
    /// Nothing.
    None,
    /// An area of private anonymous memory more in each process: a killed engine may leave its scratch area behind,
    /// which the next dump removes.
    ScratchArea,
}

/// Growth of anonymous memory that may come from the processes themselves: stacks, pages touched by the check.
const PSS_SLACK_KIB: u64 = 1024;

impl Witness {
    /// What differs between this witness and a later one, a line each; empty where nothing does. `exempt` names fields
    /// that are not compared, wherever they stand (`pos`, or `fds.pos` for one below the other).
    pub fn differences(&self, after: &Witness, exempt: &[String], tolerance: Tolerance) -> Vec<String> {
        let (mut a, mut b) = (self.clone(), after.clone());
        if tolerance == Tolerance::ScratchArea {
            drop_scratch_areas(&mut a, &mut b);
        }
        let mut lines = Vec::new();
        match (serde_json::to_value(&a), serde_json::to_value(&b)) {
            (Ok(a), Ok(b)) => compare(&a, &b, &mut Vec::new(), exempt, &mut lines),
            (Err(e), _) | (_, Err(e)) => lines.push(format!("the witness cannot be compared: {e}")),
        }
        let limit = self.pss + self.pss / 10 + PSS_SLACK_KIB;
        if after.pss > limit && !exempt.iter().any(|field| field == "pss") {
            lines.push(format!("tree: pss of anonymous memory {} → {} KiB", self.pss, after.pss));
        }
        lines
    }
}

/// Takes plain areas that only `after` has out of it, and areas that a new one has merged with out of both.
fn drop_scratch_areas(before: &mut Witness, after: &mut Witness) {
    for (pid, task) in &mut after.tasks {
        let Some(old) = before.tasks.get_mut(pid) else { continue };
        let (old, new) = (&mut old.maps, &mut task.maps);
        let appeared: Vec<(String, Area)> = new
            .iter()
            .filter(|(start, area)| old.get(*start) != Some(area))
            .map(|(s, a)| (s.clone(), a.clone()))
            .collect();
        for (start, area) in appeared {
            if area.is_plain() {
                old.retain(|old_start, old_area| !area.covers(&start, old_area, old_start));
                new.remove(&start);
            }
        }
    }
}

fn compare(a: &Value, b: &Value, path: &mut Vec<String>, exempt: &[String], lines: &mut Vec<String>) {
    if a == b || exempt.iter().any(|field| is_at(field, path)) {
        return;
    }
    if let (Value::Object(x), Value::Object(y)) = (a, b) {
        // Of a task that has died all else is gone too, which would hide how it died.
        if x.get("state") != y.get("state") && y.get("state").is_some_and(|state| state == "zombie") {
            let code = y.get("exit_code").map_or_else(String::new, |code| format!(", wait status {}", brief(code)));
            lines.push(format!("{}: died{code}", title(path)));
            return;
        }
        let new = y.keys().filter(|key| !x.contains_key(*key));
        for key in x.keys().chain(new) {
            path.push(key.clone());
            compare(x.get(key).unwrap_or(&Value::Null), y.get(key).unwrap_or(&Value::Null), path, exempt, lines);
            path.pop();
        }
        return;
    }
    lines.push(match (a, b) {
        (Value::Null, new) => format!("{}: appeared: {}", title(path), brief(new)),
        (old, Value::Null) => format!("{}: lost: {}", title(path), brief(old)),
        (old, new) => format!("{} {} → {}", title(path), brief(old), brief(new)),
    });
}

/// Whether the path ends in the field's names.
fn is_at(field: &str, path: &[String]) -> bool {
    let names: Vec<&str> = field.split('.').collect();
    // Numbers (pids, descriptors, addresses) stand between the names of fields: `fds.pos` means `fds.5.pos`.
    let fields: Vec<&str> = path.iter().map(String::as_str).filter(|s| !is_number(s)).collect();
    fields.ends_with(&names) || path.last().is_some_and(|last| last == field)
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// `tasks`, `12`, `fds`, `5`, `flags` reads `task 12: fd 5: flags`.
fn title(path: &[String]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut words = path.iter();
    while let Some(word) = words.next() {
        let one = match word.as_str() {
            "tasks" => "task",
            "threads" => "thread",
            "fds" => "fd",
            "maps" => "area",
            other => {
                parts.push(other.to_owned());
                continue;
            }
        };
        match words.next() {
            Some(key) if one == "area" => parts.push(format!("area {}", key.trim_start_matches('0'))),
            Some(key) => parts.push(format!("{one} {key}")),
            None => parts.push(word.clone()),
        }
    }
    parts.join(": ")
}

/// A value on one line of bearable length.
fn brief(value: &Value) -> String {
    const LONGEST: usize = 160;
    let text = match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(area) if area.contains_key("prot") => {
            let field = |name: &str| area.get(name).and_then(Value::as_str).unwrap_or("");
            let end = field("end").trim_start_matches('0');
            format!("to {end} {} {} ({})", field("prot"), field("name"), field("vm_flags"))
        }
        // A descriptor's target, a thread's name, and a task's is that of its first thread.
        Value::Object(fields) => match fields.get("target").or(fields.get("Name")).or(fields.get("threads")) {
            Some(name) => brief(name),
            None => fields.values().find(|v| v.is_object()).map_or_else(|| value.to_string(), brief),
        },
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// The lines fit for a report: threads of a task that differ in the same way on one line, the first of many lines.
pub fn summary(lines: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 25;
    let mut groups: Vec<(String, String, Vec<String>)> = Vec::new();
    for line in lines {
        let (head, thread, tail) = split_thread(&line);
        match groups.iter_mut().find(|(h, t, all)| !thread.is_empty() && !all.is_empty() && *h == head && *t == tail) {
            Some((_, _, all)) => all.push(thread),
            None if thread.is_empty() => groups.push((line, String::new(), Vec::new())),
            None => groups.push((head, tail, vec![thread])),
        }
    }
    let more = groups.len().saturating_sub(SHOWN);
    let shown = groups.into_iter().take(SHOWN).map(|(head, tail, threads)| match &threads[..] {
        [] => head,
        [one] => format!("{head}thread {one}{tail}"),
        [first, .., last] => format!("{head}{} threads ({first}…{last}){tail}", threads.len()),
    });
    let mut shown: Vec<String> = shown.collect();
    if more > 0 {
        shown.push(format!("and {more} differences more"));
    }
    shown
}

/// `task 3: thread 5: nice 0 → 1` as what is before the thread, its number, what is after it; no number where there is
/// no thread.
fn split_thread(line: &str) -> (String, String, String) {
    let parts = || {
        let (head, rest) = line.split_once("thread ")?;
        let (number, _) = rest.split_once(':')?;
        Some((head.to_owned(), number.to_owned(), rest.get(number.len()..)?.to_owned()))
    };
    parts().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::Pid;
    use serde_json::json;

    fn lines(a: &Value, b: &Value, exempt: &[&str]) -> Vec<String> {
        let exempt: Vec<String> = exempt.iter().map(|s| (*s).to_owned()).collect();
        let mut lines = Vec::new();
        compare(a, b, &mut Vec::new(), &exempt, &mut lines);
        lines
    }

    #[test]
    fn lines_name_what_differs() {
        let a =
            json!({"tasks": {"12": {"ppid": "1", "fds": {"5": {"flags": "02", "pos": "0"}, "6": {"target": "/x"}}}}});
        let b = json!({"tasks": {"12": {"ppid": "1", "fds": {"5": {"flags": "04002", "pos": "9"}}},
                                 "13": {"ppid": "12", "threads": {"13": {"Name": "me"}}}}});
        assert_eq!(
            lines(&a, &b, &[]),
            [
                "task 12: fd 5: flags 02 → 04002",
                "task 12: fd 5: pos 0 → 9",
                "task 12: fd 6: lost: /x",
                "task 13: appeared: me",
            ]
        );
        assert_eq!(lines(&a, &b, &["pos"]).len(), 3);
        assert_eq!(lines(&a, &b, &["fds.pos", "fds.flags"]).len(), 2);
        assert_eq!(lines(&a, &b, &["maps.pos"]).len(), 4);
        assert_eq!(lines(&a, &b, &["tasks"]), [""; 0]);
    }

    #[test]
    fn threads_that_differ_alike_share_a_line() {
        let lines: Vec<String> = (5..9).map(|n| format!("task 3: thread {n}: nice 0 → 1")).collect();
        let other = ["task 3: thread 9: nice 0 → 2".to_owned(), "task 3: ppid 1 → 2".to_owned()];
        assert_eq!(
            summary([&lines[..], &other].concat()),
            ["task 3: 4 threads (5…8): nice 0 → 1", "task 3: thread 9: nice 0 → 2", "task 3: ppid 1 → 2"]
        );
        let many = summary((0..30).map(|n| format!("line {n}")).collect());
        assert_eq!((many.len(), many[25].as_str()), (26, "and 5 differences more"));
    }

    #[test]
    fn of_a_dead_task_only_its_death_is_told() {
        let a = json!({"tasks": {"12": {"state": "runs", "ppid": "1", "fds": {"0": {"target": "/x"}}}}});
        let b = json!({"tasks": {"12": {"state": "zombie", "exit_code": "256", "ppid": "1", "fds": {}}}});
        assert_eq!(lines(&a, &b, &[]), ["task 12: died, wait status 256"]);
    }

    #[test]
    fn a_witness_is_its_own_equal_and_notices_a_descriptor() {
        let me = Pid::this();
        let before = Witness::take(me);
        assert!(!before.tasks.is_empty());
        let file = std::fs::File::open("/dev/null").unwrap();
        let lines = before.differences(&Witness::take(me), &["maps".to_owned(), "threads".to_owned()], Tolerance::None);
        drop(file);
        assert!(lines.iter().any(|l| l.contains("appeared: /dev/null")), "{lines:?}");
    }
}
