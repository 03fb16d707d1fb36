//! Credentials: user and group ids, capabilities, secure bits, no_new_privs. Only what differs is set, in an order in
//! which each step still has the right to the next.

use super::crew::Program;
use crate::error::Result;
use crate::image::proto::CredsEntry;
use crate::proc::{ProcDir, status};
use crate::sys::acting::Actor;
use crate::sys::process::{Attribute, attribute};
use zerocopy::IntoBytes;

/// The engine's own credentials, which every new task has.
#[derive(Debug, Clone)]
pub struct Current {
    uid: [u32; 4],
    gid: [u32; 4],
    groups: Vec<u32>,
    caps: [u64; 5],
    no_new_privs: bool,
    securebits: u64,
}

const SECBIT_NO_SETUID_FIXUP: u64 = 1 << 2;
const PR_CAP_AMBIENT: u64 = 47;
const PR_CAP_AMBIENT_RAISE: u64 = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
/// Capability numbers that the kernel may know.
const LAST_CAP: u64 = 63;

impl Current {
    /// Reads them.
    pub fn read(dir: &ProcDir) -> Result<Current> {
        let status = status::read(dir, &mut Vec::new())?;
        let caps = &status.caps;
        let bounding = caps.bounding.unwrap_or(0);
        let ambient = caps.ambient.unwrap_or(0);
        Ok(Current {
            uid: status.uid,
            gid: status.gid,
            groups: status.groups,
            caps: [caps.inheritable, caps.permitted, caps.effective, bounding, ambient],
            no_new_privs: status.no_new_privs.unwrap_or(false),
            securebits: attribute(Attribute::SecureBits).unwrap_or(0),
        })
    }
}

/// Adds the calls by which a task takes the effective ids and the groups of somebody and keeps its capabilities.
pub fn act_as(program: &mut Program, whom: &Actor, current: &Current) {
    if is_other(whom, current) {
        program.call(libc::SYS_prctl, &[libc::PR_SET_SECUREBITS as u64, SECBIT_NO_SETUID_FIXUP]);
        set_groups(program, &whom.groups);
        program.call(libc::SYS_setresgid, &[u64::MAX, whom.gid.into(), u64::MAX]);
        program.call(libc::SYS_setresuid, &[u64::MAX, whom.uid.into(), u64::MAX]);
    }
}

/// Takes that back.
pub fn stop_acting(program: &mut Program, whom: &Actor, current: &Current) {
    if is_other(whom, current) {
        program.call(libc::SYS_setresuid, &[u64::MAX, current.uid[1].into(), u64::MAX]);
        program.call(libc::SYS_setresgid, &[u64::MAX, current.gid[1].into(), u64::MAX]);
        set_groups(program, &current.groups);
        program.call(libc::SYS_prctl, &[libc::PR_SET_SECUREBITS as u64, current.securebits]);
    }
}

fn is_other(whom: &Actor, current: &Current) -> bool {
    (whom.uid, whom.gid, &whom.groups) != (current.uid[1], current.gid[1], &current.groups)
}

fn set_groups(program: &mut Program, groups: &[u32]) {
    let bytes: Vec<u8> = groups.iter().flat_map(|g| g.to_ne_bytes()).collect();
    program.call_with(libc::SYS_setgroups, &[groups.len() as u64, 0], 1, &bytes);
}

fn set_of(words: &[u32]) -> u64 {
    u64::from(words.first().copied().unwrap_or(0)) | u64::from(words.get(1).copied().unwrap_or(0)) << 32
}

/// Adds the calls that give the running thread the credentials of an image.
pub fn set(program: &mut Program, creds: &CredsEntry, current: &Current) {
    let uid = [creds.uid, creds.euid, creds.suid, creds.fsuid];
    let gid = [creds.gid, creds.egid, creds.sgid, creds.fsgid];
    let caps = [&creds.cap_inh, &creds.cap_prm, &creds.cap_eff, &creds.cap_bnd, &creds.cap_amb].map(|w| set_of(w));
    let ids_differ = uid != current.uid || gid != current.gid;
    let prctl = |program: &mut Program, args: &[u64]| program.call(libc::SYS_prctl, args);
    if ids_differ {
        // Changing ids then leaves the capabilities alone.
        prctl(program, &[libc::PR_SET_SECUREBITS as u64, SECBIT_NO_SETUID_FIXUP]);
    }
    if creds.groups != current.groups {
        set_groups(program, &creds.groups);
    }
    if ids_differ {
        program.call(libc::SYS_setresgid, &[gid[0], gid[1], gid[2]].map(u64::from));
        program.call(libc::SYS_setfsgid, &[u64::from(gid[3])]);
        program.call(libc::SYS_setresuid, &[uid[0], uid[1], uid[2]].map(u64::from));
        program.call(libc::SYS_setfsuid, &[u64::from(uid[3])]);
    }
    if caps != current.caps {
        let [inheritable, permitted, effective, bounding, ambient] = caps;
        for cap in (0..=LAST_CAP).filter(|c| current.caps[3] & !bounding & 1 << c != 0) {
            prctl(program, &[libc::PR_CAPBSET_DROP as u64, cap]);
        }
        // Everything that we have stays permitted until the last step.
        capset(program, inheritable, current.caps[1], current.caps[2]);
        if current.caps[4] != 0 {
            prctl(program, &[PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0]);
        }
        for cap in (0..=LAST_CAP).filter(|c| ambient & 1 << c != 0) {
            prctl(program, &[PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0]);
        }
        prctl(program, &[libc::PR_SET_SECUREBITS as u64, u64::from(creds.secbits)]);
        capset(program, inheritable, permitted, effective);
    } else if ids_differ || u64::from(creds.secbits) != current.securebits {
        prctl(program, &[libc::PR_SET_SECUREBITS as u64, u64::from(creds.secbits)]);
    }
    if creds.no_new_privs.unwrap_or(0) != 0 && !current.no_new_privs {
        prctl(program, &[libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0]);
    }
}

fn capset(program: &mut Program, inheritable: u64, permitted: u64, effective: u64) {
    let header = [CAPABILITY_VERSION_3, 0];
    let low = [effective as u32, permitted as u32, inheritable as u32];
    let high = [(effective >> 32) as u32, (permitted >> 32) as u32, (inheritable >> 32) as u32];
    let batch = program.room(1, 64);
    let header = batch.put(header.as_bytes());
    let data = batch.put([low, high].as_bytes());
    batch.call(libc::SYS_capset, &[header.0, data.0]);
}
