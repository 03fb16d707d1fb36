//! Where the command line meets the engine: one function for each thing that the library does.

use std::fs;
use std::path::Path;

use super::{CliError, guard};
use crate::check::cpu;
use crate::dump::survey::Survey;
use crate::image::{self, ImageError};
use crate::options::{CommonOptions, DumpOptions, RestoreOptions};

/// Dumps a tree; the result is the exit status of the command.
pub fn dump(options: &DumpOptions) -> Result<u8, CliError> {
    guard::dump(&options.common, || {
        let report = crate::dump::run(options).map_err(|e| failed("dump", &e))?;
        // The dump is done whatever becomes of its statistics.
        if let Err(e) = crate::stats::of_dump(&options.common, &report) {
            tracing::warn!("{e}");
        }
        Ok(())
    })
}

/// An error of the library with its advice.
fn failed(module: &'static str, error: &crate::error::Error) -> CliError {
    let failed = CliError::of(module, error);
    match error.help() {
        Some(help) => failed.with_help(help),
        None => failed,
    }
}

/// Restores a tree; the result is the exit status of the command.
pub fn restore(options: &RestoreOptions) -> Result<u8, CliError> {
    let report = guard::restore(|| crate::restore::run(options).map_err(|e| failed("restore", &e)))?;
    if let Err(e) = crate::stats::of_restore(&options.common, &report) {
        tracing::warn!("{e}");
    }
    if let Some(file) = &options.common.pidfile {
        let path = options.common.in_work_dir(file);
        let written = fs::write(&path, format!("{}", report.pid));
        written.map_err(|e| CliError::of("restore", &e).with_help(format!("failed to write {}", path.display())))?;
    }
    if options.detached || options.exec_cmd.is_some() {
        return Ok(0);
    }
    crate::restore::wait(report.pid).map_err(|e| failed("restore", &e))
}

/// Says what of a tree a dump would refuse or lose.
pub fn survey(options: &DumpOptions) -> Result<Survey, CliError> {
    crate::dump::survey::run(options).map_err(|e| failed("check", &e))
}

impl From<ImageError> for CliError {
    fn from(error: ImageError) -> Self {
        let out = CliError::of("image", &error);
        match error.help() {
            Some(help) => out.with_help(help),
            None => out,
        }
    }
}

/// JSON for people.
pub fn pretty(json: &impl serde::Serialize) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(json).map_err(|e| CliError::of("image", &e))?;
    Ok(format!("{text}\n"))
}

/// One image file as JSON text.
pub fn show_file(path: &Path) -> Result<String, CliError> {
    pretty(&image::show_file(path)?)
}

/// A directory of images as one page of text or as JSON.
pub fn show_dir(path: &Path, json: bool) -> Result<String, CliError> {
    let summary = image::show_dir(path)?;
    if json { pretty(&summary) } else { Ok(summary.to_string()) }
}

/// Makes the file `image` of the JSON in `json`. With `reseal` the manifest beside it tells of the new file.
pub fn encode(json: &Path, image: &Path, reseal: bool) -> Result<(), CliError> {
    let name = |e: &dyn std::error::Error| CliError::usage(format!("failed to read {}: {e}", json.display()));
    let text = fs::read(json).map_err(|e| name(&e))?;
    let value = serde_json::from_slice(&text).map_err(|e| name(&e))?;
    image::edit::write_file(image, &value)?;
    if reseal {
        let dir = image.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        image::out::reseal(dir)?;
    }
    Ok(())
}

/// Writes the features of this CPU to the images directory.
pub fn cpuinfo_dump(common: &CommonOptions) -> Result<(), CliError> {
    Ok(cpu::image::write(&common.images_dir, &this_cpu()?)?)
}

/// Compares the features of this CPU with those in the images directory.
pub fn cpuinfo_check(common: &CommonOptions) -> Result<(), CliError> {
    let cap = common.cpu_cap.unwrap_or_default();
    cpu::require(&common.images_dir, Some(cap)).map_err(|e| failed("cpu", &e))
}

fn this_cpu() -> Result<cpu::CpuInfo, CliError> {
    cpu::here().map_err(|e| CliError::of("cpu", &e))
}
