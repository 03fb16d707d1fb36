//! Registers of AArch64 threads as CRIU's message holds them, both ways. SVE, SME and TPIDR2 have no fields there.

use super::{CoreImage, bytes64, without, word32, words64};
use crate::error::Result;
use crate::image::proto::{
    CoreEntry, PacAddressKeys, PacGenericKeys, PacKeys, ThreadInfoAarch64, UserAarch64FpsimdContextEntry,
    UserAarch64RegsEntry, core_entry::March,
};
use stasis_arch::aarch64::state::{
    NT_ARM_PAC_ENABLED_KEYS, NT_ARM_PACA_KEYS, NT_ARM_PACG_KEYS, NT_ARM_TLS, NT_PRFPREG,
};
use stasis_arch::aarch64::{Cpu, Regs};
use stasis_arch::state::State;

impl CoreImage for Cpu {
    type Regs = Regs;
    const MARCH: March = March::Aarch64;
    // The thread pointer is in the message too, but without its second word.
    const IN_MESSAGE: &'static [u32] = &[NT_PRFPREG, NT_ARM_PACA_KEYS, NT_ARM_PACG_KEYS, NT_ARM_PAC_ENABLED_KEYS];

    fn save(core: &mut CoreEntry, clear_tid: u64, r: &Regs, state: &State) -> Result<()> {
        let set = |note| state.get(note).unwrap_or_default();
        let first = |note| words64(set(note), false).first().copied();
        let fp = set(NT_PRFPREG);
        core.ti_aarch64 = Some(ThreadInfoAarch64 {
            clear_tid_addr: clear_tid,
            tls: first(NT_ARM_TLS).unwrap_or(0),
            gpregs: UserAarch64RegsEntry { regs: r.x.to_vec(), sp: r.sp, pc: r.pc, pstate: r.pstate },
            fpsimd: UserAarch64FpsimdContextEntry {
                vregs: words64(fp.get(..512).unwrap_or_default(), false),
                fpsr: word32(fp, 512, false),
                fpcr: word32(fp, 516, false),
            },
            pac_keys: keys(state),
        });
        Ok(())
    }

    fn clear_tid(core: &CoreEntry) -> Option<u64> {
        core.ti_aarch64.as_ref().map(|info| info.clear_tid_addr)
    }

    fn regs(core: &CoreEntry) -> Result<Regs> {
        let e = &core.ti_aarch64.as_ref().ok_or_else(without)?.gpregs;
        let mut regs = Regs { sp: e.sp, pc: e.pc, pstate: e.pstate, ..Regs::default() };
        regs.x.iter_mut().zip(&e.regs).for_each(|(place, word)| *place = *word);
        Ok(regs)
    }

    fn fill(core: &CoreEntry, state: &mut State) -> Result<()> {
        let info = core.ti_aarch64.as_ref().ok_or_else(without)?;
        // The second word is in Stasis' own file.
        if let Some(tls) = state.get_mut(NT_ARM_TLS).and_then(|set| set.get_mut(..8)) {
            tls.copy_from_slice(&info.tls.to_le_bytes());
        }
        let mut fp = bytes64(&info.fpsimd.vregs, 64, false);
        for word in [info.fpsimd.fpsr, info.fpsimd.fpcr, 0, 0] {
            fp.extend_from_slice(&word.to_le_bytes());
        }
        state.put(NT_PRFPREG, fp);
        if let Some(keys) = info.pac_keys.as_ref().and_then(|keys| keys.pac_address_keys.as_ref()) {
            let words = [
                keys.apiakey_lo,
                keys.apiakey_hi,
                keys.apibkey_lo,
                keys.apibkey_hi,
                keys.apdakey_lo,
                keys.apdakey_hi,
                keys.apdbkey_lo,
                keys.apdbkey_hi,
            ];
            state.put(NT_ARM_PACA_KEYS, bytes64(&words, 8, false));
            state.put(NT_ARM_PAC_ENABLED_KEYS, bytes64(&[keys.pac_enabled_key], 1, false));
        }
        if let Some(keys) = info.pac_keys.as_ref().and_then(|keys| keys.pac_generic_keys.as_ref()) {
            state.put(NT_ARM_PACG_KEYS, bytes64(&[keys.apgakey_lo, keys.apgakey_hi], 2, false));
        }
        Ok(())
    }
}

fn keys(state: &State) -> Option<PacKeys> {
    let words = |note| state.get(note).map(|set| words64(set, false));
    let enabled = words(NT_ARM_PAC_ENABLED_KEYS).and_then(|w| w.first().copied()).unwrap_or(0);
    let address = words(NT_ARM_PACA_KEYS).and_then(|w| <[u64; 8]>::try_from(w).ok()).map(|w| PacAddressKeys {
        apiakey_lo: w[0],
        apiakey_hi: w[1],
        apibkey_lo: w[2],
        apibkey_hi: w[3],
        apdakey_lo: w[4],
        apdakey_hi: w[5],
        apdbkey_lo: w[6],
        apdbkey_hi: w[7],
        pac_enabled_key: enabled,
    });
    let generic = words(NT_ARM_PACG_KEYS)
        .and_then(|w| <[u64; 2]>::try_from(w).ok())
        .map(|w| PacGenericKeys { apgakey_lo: w[0], apgakey_hi: w[1] });
    let any = address.is_some() || generic.is_some();
    any.then_some(PacKeys { pac_address_keys: address, pac_generic_keys: generic })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_comes_back_as_it_was() {
        let mut regs = Regs { sp: 1, pc: 2, pstate: 3, ..Regs::default() };
        regs.x = std::array::from_fn(|n| n as u64 * 7);
        let mut state = State::default();
        state.put(NT_ARM_TLS, bytes64(&[5, 6], 2, false));
        state.put(NT_ARM_PACA_KEYS, bytes64(&[1, 2, 3, 4, 5, 6, 7, 8], 8, false));
        state.put(NT_ARM_PACG_KEYS, bytes64(&[9, 10], 2, false));
        state.put(NT_ARM_PAC_ENABLED_KEYS, bytes64(&[0xf], 1, false));
        state.put(NT_PRFPREG, (0..528).map(|n| if n < 520 { n as u8 } else { 0 }).collect());
        let mut core = CoreEntry::default();
        Cpu::save(&mut core, 77, &regs, &state).expect("saved");
        assert_eq!(Cpu::clear_tid(&core), Some(77));
        assert_eq!(Cpu::regs(&core).expect("registers"), regs);
        let mut fresh = State::default();
        fresh.put(NT_ARM_TLS, bytes64(&[0, 6], 2, false));
        Cpu::fill(&core, &mut fresh).expect("filled");
        for (note, set) in &state.sets {
            assert_eq!(fresh.get(*note), Some(set.as_slice()), "set {note:#x}");
        }
    }

    #[test]
    fn short_lists_are_taken_as_zeros() {
        let mut core = CoreEntry::default();
        assert!(Cpu::regs(&core).is_err());
        core.ti_aarch64 = Some(ThreadInfoAarch64::default());
        assert_eq!(Cpu::regs(&core).expect("registers").x, [0; 31]);
        let mut state = State::default();
        Cpu::fill(&core, &mut state).expect("filled");
        assert_eq!(state.get(NT_PRFPREG).map(<[u8]>::len), Some(528));
    }
}
