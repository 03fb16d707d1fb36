//! The workflow of the public CI service, made of the matrix so that the two cannot disagree.

use super::matrix::{Matrix, Plan};
use std::fmt::Write as _;

/// The file that holds it, from the project's root.
pub const FILE: &str = ".github/workflows/ci.yml";

/// The workflow's text.
///
/// # Errors
/// The matrix lacks a plan.
pub fn text(matrix: &Matrix) -> anyhow::Result<String> {
    let mut out = String::new();
    writeln!(out, "# Made of {}: cargo zdtm ci --workflow > {FILE}", super::matrix::FILE)?;
    out.push_str("name: ci\non:\n  push:\n  pull_request:\n  schedule:\n    - cron: \"17 2 * * *\"\n");
    out.push_str("env:\n  CI: \"true\"\njobs:\n");
    out.push_str("  checks:\n    if: github.event_name != 'schedule'\n    runs-on: ubuntu-24.04\n");
    out.push_str("    timeout-minutes: 60\n    steps:\n      - uses: actions/checkout@v4\n");
    out.push_str("      - run: sudo -E env \"PATH=$PATH\" .ci/run\n");
    for (name, condition) in [("push", "!="), ("nightly", "==")] {
        plan(&mut out, matrix, name, matrix.plan(name)?, condition)?;
    }
    Ok(out)
}

fn plan(out: &mut String, matrix: &Matrix, name: &str, plan: &Plan, condition: &str) -> anyhow::Result<()> {
    writeln!(out, "  {name}:\n    if: github.event_name {condition} 'schedule'\n    runs-on: ubuntu-24.04")?;
    writeln!(out, "    timeout-minutes: {}\n    strategy:\n      fail-fast: false\n      matrix:", plan.minutes)?;
    out.push_str("        job:\n");
    for job in matrix.jobs(name, &[])? {
        writeln!(out, "          - {}", job.machine.name)?;
    }
    out.push_str("    steps:\n      - uses: actions/checkout@v4\n");
    out.push_str("      - uses: actions/cache@v4\n        with:\n          path: target/qemu\n");
    writeln!(out, "          key: qemu-${{{{ matrix.job }}}}-${{{{ hashFiles('qemu/machines/*.yaml') }}}}")?;
    out.push_str("      - run: sudo ci/install\n");
    writeln!(
        out,
        "      - run: sudo -E env \"PATH=$PATH\" cargo zdtm ci --plan {name} --job ${{{{ matrix.job }}}}\n      - if: \
         always()\n        uses: actions/upload-artifact@v4\n        with:\n          name: {name}-${{{{ matrix.job \
         }}}}\n          path: target/zdtm/ci/*.json"
    )?;
    writeln!(out, "  {name}-report:\n    if: always() && github.event_name {condition} 'schedule'")?;
    writeln!(out, "    needs: {name}\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: actions/checkout@v4")?;
    writeln!(
        out,
        "      - uses: actions/download-artifact@v4\n        with:\n          path: records\n          merge-multiple: \
         true\n      - run: cargo zdtm ci --merge records --report report.html\n      - uses: \
         actions/upload-artifact@v4\n        with:\n          name: {name}-report\n          path: report.html"
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_file_is_what_the_matrix_makes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let matrix = Matrix::load(&root).expect("the project's matrix");
        let made = text(&matrix).expect("a workflow");
        let kept = std::fs::read_to_string(root.join(FILE)).unwrap_or_default();
        assert!(kept == made, "{FILE} is not what the matrix makes: cargo zdtm ci --workflow > {FILE}");
        let parsed: serde_yaml::Value = serde_yaml::from_str(&made).expect("YAML");
        let jobs = parsed["jobs"]["push"]["strategy"]["matrix"]["job"].as_sequence().expect("a list of jobs");
        assert_eq!(jobs.len(), matrix.machines.len());
    }
}
