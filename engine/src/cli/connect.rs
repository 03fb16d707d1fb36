//! Where the command line meets the engine: one function for each thing that the library does.

use std::path::Path;

use super::CliError;
use crate::options::{CommonOptions, DumpOptions, RestoreOptions};

/// Dumps a tree.
pub fn dump(options: &DumpOptions) -> Result<(), CliError> {
    crate::dump::run(options).map(drop).map_err(|e| failed("dump", &e))
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
pub fn restore(_options: &RestoreOptions) -> Result<u8, CliError> {
    Err(CliError::not_built("restore"))
}

/// One image file as JSON text.
pub fn show_file(_path: &Path) -> Result<String, CliError> {
    Err(CliError::not_built("show"))
}

/// A directory of images as one page of text or as JSON.
pub fn show_dir(_path: &Path, _json: bool) -> Result<String, CliError> {
    Err(CliError::not_built("show"))
}

/// Makes an image of JSON.
pub fn encode(_json: &Path, _image: &Path) -> Result<(), CliError> {
    Err(CliError::not_built("encode"))
}

/// Writes the features of this CPU to the images directory.
pub fn cpuinfo_dump(_common: &CommonOptions) -> Result<(), CliError> {
    Err(CliError::not_built("cpuinfo dump"))
}

/// Compares the features of this CPU with those in the images directory.
pub fn cpuinfo_check(_common: &CommonOptions) -> Result<(), CliError> {
    Err(CliError::not_built("cpuinfo check"))
}
