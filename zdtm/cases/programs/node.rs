//! node computes in slices between timers and file reads, with a worker thread, and comes to the known result.
//@ needs: [prog:node]
//@ witness: -maps -fds -pss # the program allocates and reads files all the time
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_programs::Program;

const SCRIPT: &str = r#"
const fs = require("fs");
const { Worker } = require("worker_threads");
const code = "const { parentPort } = require('worker_threads');" +
    "parentPort.on('message', n => { let x = n; for (let i = 0; i < 10000; i++) x = (x * 69069 + 1) >>> 0;" +
    "parentPort.postMessage(x); });";
const worker = new Worker(code, { eval: true });
let rounds = 0, wrong = 0, first = null, timers = 0, answers = 0;
worker.on("message", answer => {
    if (first === null) first = answer;
    if (answer !== first) wrong++;
    answers++;
    worker.postMessage(1);
});
worker.postMessage(1);
const timer = setInterval(() => timers++, 1);
function slice() {
    const words = new Map();
    for (let i = 0; i < 2000; i++) words.set("k" + (i * 7919) % 2003, i);
    if (words.size !== 2000) wrong++;
    rounds++;
    fs.readFile("source", "utf8", (error, text) => {
        if (error || text !== "text to read\n") wrong++;
        if (rounds === 50) fs.writeFileSync("progress", "");
        if (rounds >= 50 && answers >= 2 && timers > 0 && fs.existsSync("stop")) {
            clearInterval(timer);
            worker.terminate().then(() => console.log(first, wrong));
        } else setImmediate(slice);
    });
}
slice();
"#;

pub fn run(gate: &mut Gate) -> Verdict {
    std::fs::write(gate.path("source"), b"text to read\n")?;
    let program = Program::start(gate, "node", &["-e", SCRIPT])?;
    program.await_progress(gate)?;
    gate.checkpoint()?;
    let first = (0..10_000).fold(1u32, |x, _| x.wrapping_mul(69_069).wrapping_add(1));
    check_eq("what the program says", program.stop(gate)?, format!("{first} 0\n"))
}
