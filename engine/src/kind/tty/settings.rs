//! The settings of terminals as messages, both ways.

use crate::error::{Error, Result};
use crate::image::proto::{TermiosEntry, WinsizeEntry};
use crate::sys::tty::{CHARACTERS, Termios};

/// Settings as a message.
pub fn to_entry(termios: &Termios) -> TermiosEntry {
    TermiosEntry {
        c_iflag: termios.iflag,
        c_oflag: termios.oflag,
        c_cflag: termios.cflag,
        c_lflag: termios.lflag,
        c_line: termios.line.into(),
        c_ispeed: termios.ispeed,
        c_ospeed: termios.ospeed,
        c_cc: termios.cc.iter().map(|c| u32::from(*c)).collect(),
    }
}

/// The settings of a message, which must fit the kernel's structure.
pub fn from_entry(entry: &TermiosEntry) -> Result<Termios> {
    let wrong = || Error::state("the images hold settings of a terminal that no terminal can have");
    let byte = |word: u32| u8::try_from(word).map_err(|_| wrong());
    let mut cc = [0; CHARACTERS];
    if entry.c_cc.len() > CHARACTERS {
        return Err(wrong());
    }
    for (place, word) in cc.iter_mut().zip(&entry.c_cc) {
        *place = byte(*word)?;
    }
    Ok(Termios {
        iflag: entry.c_iflag,
        oflag: entry.c_oflag,
        cflag: entry.c_cflag,
        lflag: entry.c_lflag,
        line: byte(entry.c_line)?,
        cc,
        ispeed: entry.c_ispeed,
        ospeed: entry.c_ospeed,
    })
}

/// A window's size as a message.
pub fn size_to_entry([rows, columns, width, height]: [u16; 4]) -> WinsizeEntry {
    let [ws_row, ws_col, ws_xpixel, ws_ypixel] = [rows, columns, width, height].map(u32::from);
    WinsizeEntry { ws_row, ws_col, ws_xpixel, ws_ypixel }
}

/// The size of a message, cut to what the kernel's structure holds.
pub fn size_from_entry(entry: &WinsizeEntry) -> [u16; 4] {
    [entry.ws_row, entry.ws_col, entry.ws_xpixel, entry.ws_ypixel].map(|word| word as u16)
}
