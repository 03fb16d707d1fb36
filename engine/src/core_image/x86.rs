//! Registers of x86-64 threads as CRIU's messages hold them, both ways.

use super::{CoreImage, without};
use crate::error::{Error, Result};
use crate::image::proto::{
    CoreEntry, ThreadInfoX86, UserDescT, UserX86CetEntry, UserX86FpregsEntry, UserX86RegsEntry, UserX86XsaveEntry,
    core_entry::March,
};
use stasis_arch::state::State;
use stasis_arch::x86_64::state::NT_XSTATE;
use stasis_arch::x86_64::xstate::{HEADER_END, LEGACY, Layout, PORTABLE, SW_XFEATURES, XSTATE_BV, component};
use stasis_arch::x86_64::{Cpu, Regs};
use std::sync::LazyLock;

/// The layout of this CPU's extended state: asking is slow under a hypervisor.
static LAYOUT: LazyLock<Layout> = LazyLock::new(Layout::native);

impl CoreImage for Cpu {
    type Regs = Regs;
    const MARCH: March = March::X8664;
    const IN_MESSAGE: &'static [u32] = &[NT_XSTATE];

    fn save(core: &mut CoreEntry, clear_tid_addr: u64, regs: &Regs, state: &State) -> Result<()> {
        let area = state.get(NT_XSTATE).filter(|area| area.len() >= LEGACY);
        let area = area.ok_or_else(|| Error::state("the kernel gives no extended state"))?;
        let tls = state.descriptors.iter().map(|&(entry, desc)| tls_entry(entry, desc)).collect();
        let (gpregs, fpregs) = (registers(regs), fpregs(area, &LAYOUT));
        core.thread_info = Some(ThreadInfoX86 { clear_tid_addr, gpregs, fpregs, tls });
        Ok(())
    }

    fn clear_tid(core: &CoreEntry) -> Option<u64> {
        core.thread_info.as_ref().map(|info| info.clear_tid_addr)
    }

    fn regs(core: &CoreEntry) -> Result<Regs> {
        Ok(to_regs(&core.thread_info.as_ref().ok_or_else(without)?.gpregs))
    }

    fn fill(core: &CoreEntry, state: &mut State) -> Result<()> {
        let info = core.thread_info.as_ref().ok_or_else(without)?;
        let area = state.get_mut(NT_XSTATE).ok_or_else(|| Error::state("the kernel gives no extended state"))?;
        to_xstate(&info.fpregs, area, &LAYOUT)?;
        state.descriptors = info.tls.iter().map(|e| (e.entry_number, to_desc(e))).collect();
        Ok(())
    }
}

fn registers(r: &Regs) -> UserX86RegsEntry {
    UserX86RegsEntry {
        r15: r.r15,
        r14: r.r14,
        r13: r.r13,
        r12: r.r12,
        bp: r.bp,
        bx: r.bx,
        r11: r.r11,
        r10: r.r10,
        r9: r.r9,
        r8: r.r8,
        ax: r.ax,
        cx: r.cx,
        dx: r.dx,
        si: r.si,
        di: r.di,
        orig_ax: r.orig_ax,
        ip: r.ip,
        cs: r.cs,
        flags: r.flags,
        sp: r.sp,
        ss: r.ss,
        fs_base: r.fs_base,
        gs_base: r.gs_base,
        ds: r.ds,
        es: r.es,
        fs: r.fs,
        gs: r.gs,
        mode: Some(1),
    }
}

/// The registers of a message.
fn to_regs(e: &UserX86RegsEntry) -> Regs {
    Regs {
        r15: e.r15,
        r14: e.r14,
        r13: e.r13,
        r12: e.r12,
        bp: e.bp,
        bx: e.bx,
        r11: e.r11,
        r10: e.r10,
        r9: e.r9,
        r8: e.r8,
        ax: e.ax,
        cx: e.cx,
        dx: e.dx,
        si: e.si,
        di: e.di,
        orig_ax: e.orig_ax,
        ip: e.ip,
        cs: e.cs,
        flags: e.flags,
        sp: e.sp,
        ss: e.ss,
        fs_base: e.fs_base,
        gs_base: e.gs_base,
        ds: e.ds,
        es: e.es,
        fs: e.fs,
        gs: e.gs,
    }
}

/// Bits of the last word of `struct user_desc` (asm/ldt.h).
mod desc {
    pub const SEG_32BIT: u32 = 1;
    pub const CONTENTS_LOW: u32 = 1 << 1;
    pub const CONTENTS_HIGH: u32 = 1 << 2;
    pub const READ_EXEC_ONLY: u32 = 1 << 3;
    pub const LIMIT_IN_PAGES: u32 = 1 << 4;
    pub const NOT_PRESENT: u32 = 1 << 5;
    pub const USABLE: u32 = 1 << 6;
}

/// The message of an entry as the kernel gave it.
fn tls_entry(entry_number: u32, desc: Option<[u32; 4]>) -> UserDescT {
    let [_, base_addr, limit, bits] = desc.unwrap_or([0, 0, 0, desc::READ_EXEC_ONLY | desc::NOT_PRESENT]);
    let has = |bit| bits & bit != 0;
    UserDescT {
        entry_number,
        base_addr,
        limit,
        seg_32bit: has(desc::SEG_32BIT),
        contents_h: has(desc::CONTENTS_HIGH),
        contents_l: has(desc::CONTENTS_LOW),
        read_exec_only: has(desc::READ_EXEC_ONLY),
        limit_in_pages: has(desc::LIMIT_IN_PAGES),
        seg_not_present: has(desc::NOT_PRESENT),
        usable: has(desc::USABLE),
    }
}

/// An entry as the kernel takes it; `None` for one that holds nothing.
fn to_desc(e: &UserDescT) -> Option<[u32; 4]> {
    let bits = [
        (e.seg_32bit, desc::SEG_32BIT),
        (e.contents_l, desc::CONTENTS_LOW),
        (e.contents_h, desc::CONTENTS_HIGH),
        (e.read_exec_only, desc::READ_EXEC_ONLY),
        (e.limit_in_pages, desc::LIMIT_IN_PAGES),
        (e.seg_not_present, desc::NOT_PRESENT),
        (e.usable, desc::USABLE),
    ];
    let bits = bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit);
    (!e.seg_not_present).then_some([e.entry_number, e.base_addr, e.limit, bits])
}

fn u16_at(area: &[u8], at: usize) -> u32 {
    u32::from(u16::from_le_bytes([area[at], area[at + 1]]))
}

fn u32_at(area: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([area[at], area[at + 1], area[at + 2], area[at + 3]])
}

fn u64_at(area: &[u8], at: usize) -> u64 {
    u64::from(u32_at(area, at)) | u64::from(u32_at(area, at + 4)) << 32
}

fn words32(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|c| u32_at(c, 0)).collect()
}

fn words64(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|c| u64_at(c, 0)).collect()
}

/// The legacy area (FXSAVE layout) and the extended components that have fields.
fn fpregs(area: &[u8], layout: &Layout) -> UserX86FpregsEntry {
    UserX86FpregsEntry {
        cwd: u16_at(area, 0),
        swd: u16_at(area, 2),
        twd: u16_at(area, 4),
        fop: u16_at(area, 6),
        rip: u64_at(area, 8),
        rdp: u64_at(area, 16),
        mxcsr: u32_at(area, 24),
        mxcsr_mask: u32_at(area, 28),
        st_space: words32(&area[32..160]),
        xmm_space: words32(&area[160..416]),
        padding: Vec::new(),
        xsave: (area.len() >= HEADER_END).then(|| xsave(area, layout)),
    }
}

fn xsave(area: &[u8], layout: &Layout) -> UserX86XsaveEntry {
    let part = |n| layout.find(area, n).unwrap_or_default();
    UserX86XsaveEntry {
        xstate_bv: u64_at(area, XSTATE_BV) & PORTABLE,
        ymmh_space: words32(part(component::YMM)),
        bndreg_state: words64(part(component::BNDREG)),
        bndcsr_state: words64(part(component::BNDCSR)),
        opmask_reg: words64(part(component::OPMASK)),
        zmm_upper: words64(part(component::ZMM_HI256)),
        hi16_zmm: words64(part(component::HI16_ZMM)),
        pkru: words32(part(component::PKRU)),
        cet: Some(UserX86CetEntry { cet: 0, ssp: 0 }),
    }
}

/// Fills `area`, which this CPU's kernel gave for a fresh task, with the state of a message. A component that is not
/// in its initial configuration and that this CPU lacks is an error that names it.
fn to_xstate(fp: &UserX86FpregsEntry, area: &mut [u8], layout: &Layout) -> Result<()> {
    if area.len() < LEGACY {
        return Err(Error::state("the kernel gives no extended state"));
    }
    let put = |area: &mut [u8], at: usize, bytes: &[u8]| area[at..at + bytes.len()].copy_from_slice(bytes);
    for (at, word) in [(0, fp.cwd), (2, fp.swd), (4, fp.twd), (6, fp.fop)] {
        put(area, at, &(word as u16).to_le_bytes());
    }
    put(area, 8, &fp.rip.to_le_bytes());
    put(area, 16, &fp.rdp.to_le_bytes());
    // Bits that this CPU does not know would be refused.
    let mask = match u32_at(area, 28) {
        0 => 0xffbf,
        mask => mask,
    };
    put(area, 24, &(fp.mxcsr & mask).to_le_bytes());
    fill32(&mut area[32..160], &fp.st_space);
    fill32(&mut area[160..416], &fp.xmm_space);
    let Some(xsave) = &fp.xsave else {
        return Ok(());
    };
    if area.len() < HEADER_END {
        return Err(Error::state("the image holds extended state and this CPU has none"));
    }
    let in_use = xsave.xstate_bv & PORTABLE;
    let wide = [
        (component::BNDREG, &xsave.bndreg_state, "MPX"),
        (component::BNDCSR, &xsave.bndcsr_state, "MPX"),
        (component::OPMASK, &xsave.opmask_reg, "AVX-512"),
        (component::ZMM_HI256, &xsave.zmm_upper, "AVX-512"),
        (component::HI16_ZMM, &xsave.hi16_zmm, "AVX-512"),
    ];
    for (number, words, name) in wide {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        set_component(area, layout, number, in_use, &bytes, name)?;
    }
    for (number, words, name) in
        [(component::YMM, &xsave.ymmh_space, "AVX"), (component::PKRU, &xsave.pkru, "protection keys")]
    {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        set_component(area, layout, number, in_use, &bytes, name)?;
    }
    // x87 and SSE are always given: their registers stand in the legacy area.
    let enabled = u64_at(area, SW_XFEATURES);
    let bits = (in_use | 0b11) & if enabled == 0 { u64::MAX } else { enabled };
    put(area, XSTATE_BV, &bits.to_le_bytes());
    Ok(())
}

fn set_component(area: &mut [u8], layout: &Layout, number: u32, in_use: u64, bytes: &[u8], name: &str) -> Result<()> {
    if in_use & 1 << number == 0 {
        return Ok(());
    }
    match layout.find_mut(area, number) {
        Some(place) if place.len() >= bytes.len() => {
            place[..bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
        _ => Err(Error::State {
            what: format!("the image holds {name} registers in use and this CPU has no {name}"),
            help: Some(format!("restore on a machine with {name}")),
        }),
    }
}

fn fill32(place: &mut [u8], words: &[u32]) {
    for (bytes, word) in place.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}
