//! Registers of ppc64le threads as CRIU's message holds them, both ways. TAR, PPR and DSCR have no fields there.

use super::{CoreImage, bytes64, without, word32, words64};
use crate::error::Result;
use crate::image::proto::{
    CoreEntry, ThreadInfoPpc64, UserPpc64FpstateEntry, UserPpc64RegsEntry, UserPpc64VrstateEntry,
    UserPpc64VsxstateEntry, core_entry::March,
};
use stasis_arch::ppc64::state::{NT_PPC_VMX, NT_PPC_VSX, NT_PRFPREG};
use stasis_arch::ppc64::{Cpu, Regs};
use stasis_arch::state::State;

/// Words of 64 bits in the vector registers, with VSCR.
const VECTOR_WORDS: usize = 33 * 2;

impl CoreImage for Cpu {
    type Regs = Regs;
    const MARCH: March = March::Ppc64;
    const IN_MESSAGE: &'static [u32] = &[NT_PRFPREG, NT_PPC_VMX, NT_PPC_VSX];

    fn save(core: &mut CoreEntry, clear_tid: u64, r: &Regs, state: &State) -> Result<()> {
        let set = |note| state.get(note);
        core.ti_ppc64 = Some(ThreadInfoPpc64 {
            clear_tid_addr: clear_tid,
            gpregs: UserPpc64RegsEntry {
                gpr: r.gpr.to_vec(),
                nip: r.nip,
                msr: r.msr,
                orig_gpr3: r.orig_gpr3,
                ctr: r.ctr,
                link: r.link,
                xer: r.xer,
                ccr: r.ccr,
                trap: r.trap,
                texasr: None,
                tfhar: None,
                tfiar: None,
            },
            fpstate: set(NT_PRFPREG).map(|fp| UserPpc64FpstateEntry { fpregs: words64(fp, false) }),
            vrstate: set(NT_PPC_VMX).map(|v| UserPpc64VrstateEntry {
                vrregs: words64(v.get(..VECTOR_WORDS * 8).unwrap_or_default(), false),
                vrsave: word32(v, VECTOR_WORDS * 8, false),
            }),
            vsxstate: set(NT_PPC_VSX).map(|v| UserPpc64VsxstateEntry { vsxregs: words64(v, false) }),
            tmstate: None,
        });
        Ok(())
    }

    fn clear_tid(core: &CoreEntry) -> Option<u64> {
        core.ti_ppc64.as_ref().map(|info| info.clear_tid_addr)
    }

    fn regs(core: &CoreEntry) -> Result<Regs> {
        let e = &core.ti_ppc64.as_ref().ok_or_else(without)?.gpregs;
        let mut regs = Regs {
            nip: e.nip,
            msr: e.msr,
            orig_gpr3: e.orig_gpr3,
            ctr: e.ctr,
            link: e.link,
            xer: e.xer,
            ccr: e.ccr,
            trap: e.trap,
            ..Regs::default()
        };
        regs.gpr.iter_mut().zip(&e.gpr).for_each(|(place, word)| *place = *word);
        Ok(regs)
    }

    fn fill(core: &CoreEntry, state: &mut State) -> Result<()> {
        let info = core.ti_ppc64.as_ref().ok_or_else(without)?;
        if let Some(fp) = &info.fpstate {
            state.put(NT_PRFPREG, bytes64(&fp.fpregs, 33, false));
        }
        if let Some(v) = &info.vrstate {
            let mut bytes = bytes64(&v.vrregs, VECTOR_WORDS, false);
            bytes.extend_from_slice(&v.vrsave.to_le_bytes());
            bytes.extend_from_slice(&[0; 12]);
            state.put(NT_PPC_VMX, bytes);
        }
        if let Some(v) = &info.vsxstate {
            state.put(NT_PPC_VSX, bytes64(&v.vsxregs, 32, false));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_comes_back_as_it_was() {
        let mut regs = Regs { nip: 1, msr: 2, orig_gpr3: 3, ctr: 4, link: 5, xer: 6, ccr: 7, ..Regs::default() };
        regs.gpr = std::array::from_fn(|n| n as u64 * 7);
        let mut state = State::default();
        state.put(NT_PRFPREG, (0..33 * 8).map(|n| n as u8).collect());
        state.put(NT_PPC_VMX, (0..34 * 16).map(|n| if n < 532 { n as u8 } else { 0 }).collect());
        state.put(NT_PPC_VSX, (0..32 * 8).map(|n| n as u8).collect());
        let mut core = CoreEntry::default();
        Cpu::save(&mut core, 77, &regs, &state).expect("saved");
        assert_eq!(Cpu::clear_tid(&core), Some(77));
        assert_eq!(Cpu::regs(&core).expect("registers"), regs);
        let mut fresh = State::default();
        Cpu::fill(&core, &mut fresh).expect("filled");
        assert_eq!(fresh, state);
    }
}
