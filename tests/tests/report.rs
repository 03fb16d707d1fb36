//! The matrix names cases that there are, and its page works in a real browser.

use serde_json::{Value, json};
use stasis_tests::root;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

/// Browsers that can print a page's document after its script ran, as Debian and others name them.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let harness = match stasis_tests::harness() {
        Ok(path) => path,
        Err(e) => {
            eprintln!("the harness cannot be tested: {e:#}");
            return ExitCode::FAILURE;
        }
    };
    let browser = BROWSERS.iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let of_cases = harness.clone();
    let selections = Trial::test("selections_name_cases", move || selections(&of_cases).map_err(Failed::from));
    let page = match browser {
        None => {
            Trial::test("page_in_a_browser (skipped: chromium is not installed)", || Ok(())).with_ignored_flag(true)
        }
        Some(browser) => Trial::test("page_in_a_browser", move || page(&harness, browser).map_err(Failed::from)),
    };
    libtest_mimic::run(&args, vec![selections, page]).exit_code()
}

/// Every word of a selection is part of some case's name: a case that is renamed does not drop out unseen.
fn selections(harness: &Path) -> anyhow::Result<()> {
    let list = Command::new(harness).args(["list", "--prebuilt", "--json"]).output()?;
    let cases: Vec<Value> = serde_json::from_slice(&list.stdout)?;
    let names: Vec<&str> = cases.iter().filter_map(|case| case["name"].as_str()).collect();
    anyhow::ensure!(names.len() > 100, "only {} cases", names.len());
    let text = fs::read_to_string(root().join("ci/matrix.yaml"))?;
    let selections = text.split("selections:").nth(1).and_then(|rest| rest.split("machines:").next()).unwrap_or("");
    let words: Vec<&str> = selections.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    anyhow::ensure!(words.len() > 10, "only {} words in {selections}", words.len());
    for word in words {
        anyhow::ensure!(names.iter().any(|name| name.contains(word)), "`{word}` is part of no case's name");
    }
    Ok(())
}

fn record(machine: &str, status: &str, broken: Option<&str>) -> Value {
    let result = |case: &str, route: &str, status: &str| {
        let mut result = json!({"case": case, "flavour": "host", "route": route, "status": status, "seconds": 0.5,
            "phases": [["dump", 0.01]]});
        if status == "fail" {
            result["what"] = "fd 5: flags <02>".into();
            result["logs"] = json!([["img-1/dump.log", "what the engine said"]]);
        }
        result
    };
    let results = [result("tree/single", "once", "pass"), result("tree/single", "thrice", status)];
    json!({"machine": machine, "plan": "push", "seconds": 3.0, "broken": broken, "results": results})
}

/// The page of two machines: its script counts the cases, and the address of a cell opens its logs.
fn page(harness: &Path, browser: &str) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let records = dir.path().join("records");
    fs::create_dir(&records)?;
    fs::write(records.join("a.json"), record("a", "pass", None).to_string())?;
    fs::write(records.join("b.json"), record("b", "fail", Some("the last lines")).to_string())?;
    let report = dir.path().join("report.html");
    let made = Command::new(harness).args(["ci", "--merge"]).arg(&records).arg("--report").arg(&report).output()?;
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    anyhow::ensure!(made.status.code() == Some(1), "a matrix with a failure ended with {}:\n{said}", made.status);
    anyhow::ensure!(said.ends_with("3 passed, 1 failed, 0 skipped\n"), "{said}");

    let open = |fragment: &str| -> anyhow::Result<String> {
        let mut command = Command::new(browser);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]);
        command.arg(format!("--user-data-dir={}", dir.path().join("profile").display()));
        let out = command.arg(format!("file://{}{fragment}", report.display())).output()?;
        anyhow::ensure!(out.status.success(), "{browser}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let document = open("")?;
    anyhow::ensure!(document.contains("<span id=\"shown\">1 of 1 cases</span>"), "the script did not run:\n{document}");
    anyhow::ensure!(document.contains("data-open=\"\""), "something is open at first:\n{document}");
    anyhow::ensure!(document.contains("href=\"#c0-1\">thrice</a>"), "no cell for the failure:\n{document}");
    let document = open("#c0-1")?;
    anyhow::ensure!(document.contains("data-open=\"c0-1\""), "the logs did not open:\n{document}");
    anyhow::ensure!(
        document.contains("what the engine said") && document.contains("fd 5: flags &lt;02&gt;"),
        "{document}"
    );
    Ok(())
}
