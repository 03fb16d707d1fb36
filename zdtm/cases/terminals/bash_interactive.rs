//! An interactive bash with a job in the background: history, the job's number, the line that is being typed, Ctrl-C and
//! Ctrl-Z work as before.
//@ needs: [prog:bash, prog:sleep]
//@ timeout: 60
use crate::gate::{Gate, Verdict};
use crate::tools_screens::Screen;

pub fn run(gate: &mut Gate) -> Verdict {
    let screen = Screen::start(gate, "bash", &["--norc", "--noprofile", "-i"])?;
    screen.await_text("ready> ")?;
    screen.type_in("word=remembered\rsleep 1000 &\r")?;
    screen.await_text("[1] ")?;
    screen.forget();
    screen.type_in("jobs; echo $((6 * 7))\r")?;
    screen.await_text("42\r\n")?;
    screen.type_in("echo under w")?;
    screen.await_text("echo under w")?;
    screen.forget();
    gate.checkpoint()?;
    screen.type_in("ay $word\r")?;
    screen.await_text("under way remembered\r\n")?;
    screen.type_in("jobs\r")?;
    screen.await_text("Running")?;
    screen.type_in("fg\r")?;
    screen.await_text("fg\r\n")?;
    screen.await_text("sleep 1000\r\n")?;
    screen.type_in("\x1a")?;
    screen.await_text("Stopped")?;
    screen.forget();
    screen.type_in("fg\r")?;
    screen.await_text("sleep 1000\r\n")?;
    screen.type_in("\x03")?;
    screen.await_text("ready> ")?;
    screen.forget();
    screen.type_in("\x1b[A\x15echo at $? end\r")?;
    screen.await_text("at 130 end\r\n")?;
    screen.type_in("exit 0\r")?;
    screen.finish()
}
