//! Registers of s390x threads as CRIU's message holds them, both ways.

use super::{CoreImage, bytes64, without, word32, words64};
use crate::error::Result;
use crate::image::proto::{
    CoreEntry, ThreadInfoS390, UserS390FpregsEntry, UserS390GsCbEntry, UserS390RegsEntry, UserS390RiEntry,
    UserS390VxrsHighEntry, UserS390VxrsLowEntry, core_entry::March,
};
use stasis_arch::s390x::state::{
    NT_PRFPREG, NT_S390_GS_BC, NT_S390_GS_CB, NT_S390_RI_CB, NT_S390_VXRS_HIGH, NT_S390_VXRS_LOW,
};
use stasis_arch::s390x::{Cpu, Regs};
use stasis_arch::state::State;

impl CoreImage for Cpu {
    type Regs = Regs;
    const MARCH: March = March::S390;
    const IN_MESSAGE: &'static [u32] =
        &[NT_PRFPREG, NT_S390_VXRS_LOW, NT_S390_VXRS_HIGH, NT_S390_GS_CB, NT_S390_GS_BC, NT_S390_RI_CB];

    fn save(core: &mut CoreEntry, clear_tid: u64, r: &Regs, state: &State) -> Result<()> {
        let words = |note| state.get(note).map(|set| words64(set, true));
        let fp = state.get(NT_PRFPREG).unwrap_or_default();
        core.ti_s390 = Some(ThreadInfoS390 {
            clear_tid_addr: clear_tid,
            gpregs: UserS390RegsEntry {
                psw_mask: r.psw_mask,
                psw_addr: r.psw_addr,
                gprs: r.gprs.to_vec(),
                acrs: r.acrs.to_vec(),
                orig_gpr2: r.orig_gpr2,
                system_call: r.system_call,
            },
            // Control word and padding, then the registers.
            fpregs: UserS390FpregsEntry {
                fpc: word32(fp, 0, true),
                fprs: words64(fp.get(8..).unwrap_or_default(), true),
            },
            vxrs_low: words(NT_S390_VXRS_LOW).map(|regs| UserS390VxrsLowEntry { regs }),
            vxrs_high: words(NT_S390_VXRS_HIGH).map(|regs| UserS390VxrsHighEntry { regs }),
            gs_cb: words(NT_S390_GS_CB).map(|regs| UserS390GsCbEntry { regs }),
            gs_bc: words(NT_S390_GS_BC).map(|regs| UserS390GsCbEntry { regs }),
            ri_cb: words(NT_S390_RI_CB).map(|regs| UserS390RiEntry { ri_on: 1, regs }),
        });
        Ok(())
    }

    fn clear_tid(core: &CoreEntry) -> Option<u64> {
        core.ti_s390.as_ref().map(|info| info.clear_tid_addr)
    }

    fn regs(core: &CoreEntry) -> Result<Regs> {
        let e = &core.ti_s390.as_ref().ok_or_else(without)?.gpregs;
        let mut regs = Regs {
            psw_mask: e.psw_mask,
            psw_addr: e.psw_addr,
            orig_gpr2: e.orig_gpr2,
            system_call: e.system_call,
            ..Regs::default()
        };
        regs.gprs.iter_mut().zip(&e.gprs).for_each(|(place, word)| *place = *word);
        regs.acrs.iter_mut().zip(&e.acrs).for_each(|(place, word)| *place = *word);
        Ok(regs)
    }

    fn fill(core: &CoreEntry, state: &mut State) -> Result<()> {
        let info = core.ti_s390.as_ref().ok_or_else(without)?;
        let mut fp = info.fpregs.fpc.to_be_bytes().to_vec();
        fp.extend_from_slice(&[0; 4]);
        fp.extend(bytes64(&info.fpregs.fprs, 16, true));
        state.put(NT_PRFPREG, fp);
        let sets = [
            (NT_S390_VXRS_LOW, info.vxrs_low.as_ref().map(|e| &e.regs), 16),
            (NT_S390_VXRS_HIGH, info.vxrs_high.as_ref().map(|e| &e.regs), 32),
            (NT_S390_GS_CB, info.gs_cb.as_ref().map(|e| &e.regs), 4),
            (NT_S390_GS_BC, info.gs_bc.as_ref().map(|e| &e.regs), 4),
            (NT_S390_RI_CB, info.ri_cb.as_ref().map(|e| &e.regs), 8),
        ];
        for (note, regs, count) in sets {
            if let Some(regs) = regs {
                state.put(note, bytes64(regs, count, true));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_comes_back_as_it_was() {
        let mut regs = Regs { psw_mask: 1, psw_addr: 2, orig_gpr2: 3, system_call: 4, ..Regs::default() };
        regs.gprs = std::array::from_fn(|n| n as u64 * 7);
        regs.acrs = std::array::from_fn(|n| n as u32 * 5);
        let mut state = State::default();
        state.put(NT_PRFPREG, (0..136).map(|n| if (4..8).contains(&n) { 0 } else { n as u8 }).collect());
        state.put(NT_S390_VXRS_LOW, (0..128).map(|n| n as u8).collect());
        state.put(NT_S390_VXRS_HIGH, (0..256).map(|n| n as u8).collect());
        state.put(NT_S390_GS_CB, (0..32).map(|n| n as u8).collect());
        let mut core = CoreEntry::default();
        Cpu::save(&mut core, 77, &regs, &state).expect("saved");
        assert_eq!(Cpu::clear_tid(&core), Some(77));
        assert_eq!(Cpu::regs(&core).expect("registers"), regs);
        let mut fresh = State::default();
        Cpu::fill(&core, &mut fresh).expect("filled");
        assert_eq!(fresh, state);
    }
}
