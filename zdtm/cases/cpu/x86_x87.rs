//! The x87 unit keeps its registers of 80 bits, the top of its stack, tags, control word (rounding, precision) and the
//! exceptions it has noted: with a full stack and with a stack of three.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_spin::{Spin, spin_all};

/// What `fnsave` writes: control, status and tag words, four words about the last instruction, and the registers.
type State = [u8; 108];

/// Loads `depth` numbers under the control word `control`, leaves a division by zero noted, spins: the state before and
/// after.
fn spin_x87(words: &'static Spin, depth: u32, control: u16) -> (State, State) {
    let (mut before, mut after): (State, State) = ([0; 108], [0; 108]);
    let third = 3.0f64;
    // SAFETY: the states are as large as the instructions need; the unit is empty again at the end.
    unsafe {
        core::arch::asm!(
            "fninit; fldcw [{control}]",
            // Numbers with all of their 64 bits in use: 1/3, then pi times the one below.
            "fld1; fdiv qword ptr [{third}]",
            "2: dec {depth:e}; jz 3f; fldpi; fmul st(0), st(1); jmp 2b",
            // A masked division by zero leaves its mark in the status word; it needs a free register.
            "3: fstp tbyte ptr [{before}]; fld1; fldz; fdivp; fstp st(0); fld tbyte ptr [{before}]",
            "fnsave [{before}]; frstor [{before}]",
            "mov dword ptr [{words} + 4], 1",
            "4: pause; cmp dword ptr [{words}], 0; je 4b",
            "fnsave [{after}]; fninit",
            control = in(reg) &raw const control,
            third = in(reg) &raw const third,
            depth = inout(reg) depth => _,
            before = in(reg) &raw mut before,
            after = in(reg) &raw mut after,
            words = in(reg) words,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        );
    }
    (before, after)
}

pub fn run(gate: &mut Gate) -> Verdict {
    type Body = Box<dyn FnOnce(&'static Spin) -> (State, State) + Send>;
    // Round up with full precision; truncate with double precision.
    let bodies: Vec<Body> = vec![Box::new(|w| spin_x87(w, 7, 0x0b7f)), Box::new(|w| spin_x87(w, 3, 0x0e7f))];
    for (before, after) in spin_all(gate, bodies)? {
        check("the state holds something", before[28..38].iter().any(|b| *b != 0) && before[4] & 4 != 0)?;
        check_eq("control, status, tags", &after[..12], &before[..12])?;
        // Bytes 12 to 27 tell the last instruction; what remains of them differs between processors.
        check_eq("the registers", &after[28..], &before[28..])?;
    }
    Ok(())
}
