//! The report of a matrix as one HTML page that needs nothing else: cases × machines.

use super::record::{Entry, Record, Status};
use crate::report::escape;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

const STYLE: &str = "
:root{color-scheme:light dark;font:14px/1.4 system-ui,sans-serif}
body{margin:1.5rem}table{border-collapse:collapse}th,td{border:1px solid #8884;padding:.15rem .5rem;text-align:left}
thead th{position:sticky;top:0;background:Canvas}td a{text-decoration:none;color:inherit;display:block}
.pass{background:#2a82}.fail{background:#d33a;font-weight:bold}.skip{background:#cc82}.none{color:#8888}
.area th{background:#8882}section{display:none;border:2px solid #8888;padding:0 1rem 1rem;margin:1rem 0}
section:target{display:block}pre{white-space:pre-wrap;background:#8882;padding:.5rem;max-height:30rem;overflow:auto}
label{margin-right:1rem}";

/// Counts what is shown and hides what is not wanted; without it the page is whole, too.
const SCRIPT: &str = "
const rows=[...document.querySelectorAll('tbody tr[data-case]')];
const show=()=>{const bad=document.querySelector('#bad').checked,text=document.querySelector('#text').value;
let n=0;for(const r of rows){const on=(!bad||r.querySelector('.fail'))&&r.dataset.case.includes(text);
r.hidden=!on;n+=on?1:0}document.querySelector('#shown').textContent=n+' of '+rows.length+' cases';
const open=document.querySelector('section:target');document.body.dataset.open=open?open.id:''};
for(const e of ['input','hashchange','load'])addEventListener(e,show);show();";

/// The page.
///
/// # Errors
/// None that a string can have.
pub fn page(records: &[Record], title: &str) -> Result<String, fmt::Error> {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    writeln!(out, "<title>{}</title>\n<style>{STYLE}</style></head><body>", escape(title))?;
    writeln!(out, "<h1>{}</h1>", escape(title))?;
    overview(&mut out, records)?;
    out.push_str("<p><label><input type=\"checkbox\" id=\"bad\"> only failures</label>");
    out.push_str("<label>case <input id=\"text\" type=\"search\"></label> <span id=\"shown\"></span></p>\n");
    let cases = by_case(records);
    table(&mut out, records, &cases)?;
    for (row, (case, cells)) in cases.iter().enumerate() {
        for (column, entries) in cells {
            section(&mut out, &id(row, *column), &format!("{case} on {}", records[*column].machine), entries)?;
        }
    }
    for (column, record) in records.iter().enumerate() {
        if let Some(broken) = &record.broken {
            writeln!(out, "<section id=\"m{column}\"><h2>{}</h2>", escape(&record.machine))?;
            writeln!(out, "<pre>{}</pre><a href=\"#\">close</a></section>", escape(broken))?;
        }
    }
    writeln!(out, "<script>{SCRIPT}</script></body></html>")?;
    Ok(out)
}

/// For each case its results by the number of the machine.
type Cases<'r> = BTreeMap<&'r str, BTreeMap<usize, Vec<&'r Entry>>>;

fn by_case(records: &[Record]) -> Cases<'_> {
    let mut cases = Cases::new();
    for (column, record) in records.iter().enumerate() {
        for entry in &record.results {
            cases.entry(&entry.case).or_default().entry(column).or_default().push(entry);
        }
    }
    cases
}

fn id(row: usize, column: usize) -> String {
    format!("c{row}-{column}")
}

fn overview(out: &mut String, records: &[Record]) -> fmt::Result {
    out.push_str(
        "<table><thead><tr><th>machine<th>plan<th>passed<th>failed<th>skipped<th>time, s</tr></thead><tbody>\n",
    );
    for (column, record) in records.iter().enumerate() {
        let [passed, failed, skipped] = record.counts();
        let class = if record.is_good() { "pass" } else { "fail" };
        let name = match record.broken {
            Some(_) => format!("<a href=\"#m{column}\">{}: it did not come to its end</a>", escape(&record.machine)),
            None => escape(&record.machine),
        };
        let (plan, seconds) = (escape(&record.plan), record.seconds);
        writeln!(
            out,
            "<tr class=\"{class}\"><td>{name}<td>{plan}<td>{passed}<td>{failed}<td>{skipped}<td>{seconds:.0}</tr>"
        )?;
    }
    out.push_str("</tbody></table>\n");
    Ok(())
}

fn table(out: &mut String, records: &[Record], cases: &Cases<'_>) -> fmt::Result {
    out.push_str("<table><thead><tr><th>case");
    for record in records {
        write!(out, "<th>{}", escape(&record.machine))?;
    }
    out.push_str("</tr></thead><tbody>\n");
    let mut last = "";
    for (row, (case, cells)) in cases.iter().enumerate() {
        let area = case.split('/').next().unwrap_or_default();
        if area != last {
            writeln!(out, "<tr class=\"area\"><th colspan=\"{}\">{}</tr>", records.len() + 1, escape(area))?;
            last = area;
        }
        write!(out, "<tr data-case=\"{0}\"><td>{0}", escape(case))?;
        for column in 0..records.len() {
            match cells.get(&column) {
                None => out.push_str("<td class=\"none\">–"),
                Some(entries) => cell(out, &id(row, column), entries)?,
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
    Ok(())
}

/// The worst of a cell's results gives the colour; a failure is said by route.
fn cell(out: &mut String, id: &str, entries: &[&Entry]) -> fmt::Result {
    let worst = entries.iter().map(|e| e.status).max().unwrap_or(Status::Skip);
    // A case that passed by one route and lacks something for another has passed.
    let passed = entries.iter().any(|e| e.status == Status::Pass);
    let shown = if worst == Status::Skip && passed { Status::Pass } else { worst };
    let seconds: f64 = entries.iter().map(|e| e.seconds).sum();
    let failed: Vec<&str> = entries.iter().filter(|e| e.status == Status::Fail).map(|e| e.route.as_str()).collect();
    let text = match shown {
        Status::Fail => failed.join(", "),
        Status::Skip => "skip".to_owned(),
        Status::Pass => format!("{seconds:.2} s"),
    };
    write!(out, "<td class=\"{}\"><a href=\"#{id}\">{}</a>", name(shown), escape(&text))
}

fn name(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Skip => "skip",
        Status::Fail => "fail",
    }
}

/// What happened, route by route, with the logs.
fn section(out: &mut String, id: &str, title: &str, entries: &[&Entry]) -> fmt::Result {
    writeln!(out, "<section id=\"{id}\"><h2>{}</h2>", escape(title))?;
    for entry in entries {
        let class = name(entry.status);
        let (route, flavour, seconds) = (escape(&entry.route), escape(&entry.flavour), entry.seconds);
        writeln!(out, "<p class=\"{class}\">{class}: {route}, {flavour}, {seconds:.2} s</p>")?;
        let phase = |(phase, seconds): &(String, f64)| format!("{phase} {seconds:.3} s");
        let phases: Vec<String> = entry.phases.iter().map(phase).collect();
        if !phases.is_empty() {
            writeln!(out, "<p>{}</p>", escape(&phases.join(" · ")))?;
        }
        let why: Vec<&str> = [entry.what.as_str(), entry.reason.as_str()]
            .into_iter()
            .chain(entry.details.iter().map(String::as_str))
            .filter(|line| !line.is_empty())
            .collect();
        if !why.is_empty() {
            writeln!(out, "<pre>{}</pre>", escape(&why.join("\n")))?;
        }
        for (log, text) in &entry.logs {
            let (log, text) = (escape(log), escape(text));
            writeln!(out, "<details><summary>{log}</summary><pre>{text}</pre></details>")?;
        }
    }
    writeln!(out, "<a href=\"#\">close</a></section>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(case: &str, route: &str, status: Status) -> Entry {
        let json = serde_json::json!({
            "case": case, "flavour": "host", "route": route, "status": status, "seconds": 0.25,
            "what": if status == Status::Fail { "fd 5: <flags> & \"more\"" } else { "" },
            "logs": if status == Status::Fail { vec![("dump.log", "the engine's words")] } else { vec![] },
        });
        serde_json::from_value(json).expect("an entry")
    }

    #[test]
    fn the_page_shows_each_case_on_each_machine_and_escapes() {
        let results = vec![entry("a/x", "once", Status::Pass), entry("a/x", "thrice", Status::Fail)];
        let one = Record { machine: "m1".into(), plan: "push".into(), seconds: 3.0, broken: None, results };
        let results = vec![entry("a/x", "once", Status::Skip), entry("b/y", "once", Status::Pass)];
        let broken = Some("no boot: <panic>".to_owned());
        let two = Record { machine: "m2".into(), plan: "push".into(), seconds: 4.0, broken, results };
        let page = page(&[one, two], "matrix").expect("a page");
        assert_eq!(page.matches("data-case=").count(), 2);
        assert!(page.contains("<td class=\"fail\"><a href=\"#c0-0\">thrice</a>"), "{page}");
        assert!(page.contains("<td class=\"skip\"><a href=\"#c0-1\">skip</a>"), "{page}");
        assert!(page.contains("<td class=\"none\">–<td class=\"pass\"><a href=\"#c1-1\">0.25 s</a>"), "{page}");
        assert!(page.contains("fd 5: &lt;flags&gt; &amp; &quot;more&quot;"), "{page}");
        assert!(page.contains("<summary>dump.log</summary>") && page.contains("no boot: &lt;panic&gt;"), "{page}");
        assert!(!page.contains("http"), "the page needs nothing from elsewhere");
    }
}
