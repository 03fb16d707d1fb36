//! vim with a changed text: the screen is the same when it is drawn again, undo works, the file is written.
//@ needs: [prog:vim]
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_screens::Screen;

pub fn run(gate: &mut Gate) -> Verdict {
    std::fs::write(gate.path("text"), "first\nsecond\nthird\n")?;
    let screen = Screen::start(gate, "vim", &["-u", "NONE", "-i", "NONE", "-N", "text"])?;
    screen.await_text("third")?;
    screen.type_in("ofrom the keyboard\x1b:set number\r")?;
    screen.await_text("keyboard")?;
    screen.await_text("  4 ")?;
    screen.type_in("Ghalf a word")?;
    screen.type_in("\x1bggA, changed\x1b:echo 'so' . ' far'\r")?;
    screen.await_text("so far")?;
    gate.checkpoint()?;
    screen.forget();
    screen.type_in("\x0c")?;
    screen.await_text("first, changed")?;
    screen.await_text("from the keyboard")?;
    screen.type_in("uu:wq\r")?;
    screen.finish()?;
    let text = std::fs::read_to_string(gate.path("text"))?;
    check_eq("whether the change was undone", text.lines().next(), Some("first"))?;
    check_eq("the other lines", text.contains("second\n") && text.contains("third\n"), true)
}
