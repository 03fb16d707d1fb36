//! A program in the foreground of an interactive bash reads what is typed; bash goes on when it ends.
//@ needs: [prog:bash, prog:cat]
//@ timeout: 60
use crate::gate::{Gate, Verdict};
use crate::tools_screens::Screen;

pub fn run(gate: &mut Gate) -> Verdict {
    let screen = Screen::start(gate, "bash", &["--norc", "--noprofile", "-i"])?;
    screen.await_text("ready> ")?;
    screen.type_in("cat; echo code $?\r")?;
    screen.await_text("code $?\r\n")?;
    screen.type_in("first\r")?;
    screen.await_text("first\r\nfirst\r\n")?;
    screen.type_in("half of a l")?;
    screen.await_text("half of a l")?;
    screen.forget();
    gate.checkpoint()?;
    screen.type_in("ine\r")?;
    screen.await_text("ine\r\nhalf of a line\r\n")?;
    screen.type_in("\x04")?;
    screen.await_text("code 0\r\n")?;
    screen.type_in("exit 0\r")?;
    screen.finish()
}
