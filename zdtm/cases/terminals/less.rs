//! less in the middle of a file: a redraw shows the same lines, searching goes on from there.
//@ needs: [prog:less]
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_relatives::await_call;
use crate::tools_screens::Screen;

pub fn run(gate: &mut Gate) -> Verdict {
    let text: String = (1..=500).map(|n| format!("line {n} of many\n")).collect();
    std::fs::write(gate.path("text"), text)?;
    let screen = Screen::start(gate, "less", &["text"])?;
    screen.await_text("line 23 of many")?;
    screen.type_in("100g")?;
    screen.await_text("line 122 of many")?;
    let redraw = || -> Verdict<String> {
        screen.forget();
        screen.type_in("\x0c")?;
        screen.await_text("line 122 of many")?;
        await_call(screen.pid, libc::SYS_read).or_else(|_| await_call(screen.pid, libc::SYS_ppoll))?;
        screen.look()
    };
    let before = redraw()?;
    gate.checkpoint()?;
    check_eq("the screen", redraw()?, before)?;
    screen.type_in("/line 321\r")?;
    screen.await_text("line 343 of many")?;
    screen.type_in("q")?;
    screen.finish()
}
