//! The tile registers keep their configuration and their 8 KiB, and the process keeps the permission that it asked the
//! kernel for to use them.
//@ dump-fails: "AMX tiles"
//@ unseen: the tiles are in the registers
//@ needs: [amx_tile]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_spin::{pattern, spin};
use crate::tools_tasks::{must, outcome};

const GET_PERMISSION: i32 = 0x1022;
const REQUEST_PERMISSION: i32 = 0x1023;
const TILE_DATA: u64 = 18;

fn permission() -> Verdict<u64> {
    let mut bits = 0u64;
    // SAFETY: the kernel writes eight bytes.
    let done = unsafe { libc::syscall(libc::SYS_arch_prctl, GET_PERMISSION, &raw mut bits) };
    must("ARCH_GET_XCOMP_PERM", outcome(done))?;
    Ok(bits)
}

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the call takes numbers only.
    let asked = outcome(unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) });
    check_eq("ARCH_REQ_XCOMP_PERM", asked, (0, 0))?;
    let allowed = permission()?;
    check("the permission", allowed & 1 << TILE_DATA != 0)?;
    let before = pattern(10, 8192);
    let data = before.clone();
    let (config, after) = spin(gate, move |words| {
        let (mut config, mut seen, mut after) = ([0u8; 64], [0u8; 64], vec![0u8; 8192]);
        // Palette 1; eight tiles of 16 rows of 64 bytes.
        config[0] = 1;
        (0..8).for_each(|tile| (config[16 + 2 * tile], config[48 + tile]) = (64, 16));
        // SAFETY: the buffers are as large as the tiles; no code that the compiler makes uses tiles.
        unsafe {
            core::arch::asm!(
                "ldtilecfg [{config}]",
                ".irp n, 0,1,2,3,4,5,6,7",
                "tileloadd tmm\\n, [{data} + {stride}]; add {data}, 1024",
                ".endr",
                "mov dword ptr [{words} + 4], 1",
                "2: pause; cmp dword ptr [{words}], 0; je 2b",
                "sttilecfg [{seen}]",
                ".irp n, 0,1,2,3,4,5,6,7",
                "tilestored [{after} + {stride}], tmm\\n; add {after}, 1024",
                ".endr",
                "tilerelease",
                config = in(reg) config.as_ptr(),
                seen = in(reg) seen.as_mut_ptr(),
                data = inout(reg) data.as_ptr() => _,
                after = inout(reg) after.as_mut_ptr() => _,
                stride = in(reg) 64usize,
                words = in(reg) words,
            );
        }
        (seen == config, after)
    })?;
    check("the tile configuration is as it was", config)?;
    check("the tiles are as they were", after == before)?;
    check_eq("the permission", permission()?, allowed)
}
