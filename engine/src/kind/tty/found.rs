//! Terminals while a tree is dumped: what each descriptor stands for, and what is told of each terminal once.

use super::queue::{self, Queued, Queues};
use super::settings;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FileEntry, StasisTtyEntry, TtyDataEntry, TtyInfoEntry, TtyPtyEntry, TtyType};
use crate::image::{NewImageDir, kinds};
use crate::kind::{Descriptor, DumpContext, regfile};
use crate::options::{DumpOptions, External};
use crate::sys::{self, Errno, Pid};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{FileStat, major, makedev, minor};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The device of masters.
const PTMX: (u64, u64) = (5, 2);
/// /dev/tty, the controlling terminal of whoever opens it.
const OWN: (u64, u64) = (5, 0);
/// The major number of slaves.
const SLAVES: u64 = 136;
/// Bits of a node's mode that can be set.
const MODE: u32 = 0o7777;

/// What a descriptor of a terminal stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The master of the pair with this number.
    Master(u32),
    /// Its slave.
    Slave(u32),
    /// Another device, whatever it was opened through.
    Device(TtyType, u64),
}

/// A process as far as its terminal goes.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The process.
    pub pid: Pid,
    /// Its session.
    pub sid: Pid,
    /// Its controlling terminal; none without one.
    pub terminal: Option<u64>,
    /// The foreground group of that.
    pub foreground: Pid,
}

/// What is to be known of a task that is asked for queues.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// The lowest number that none of its descriptors has.
    pub free: i32,
    /// Its controlling terminal, if it is in the background there.
    pub background: Option<u64>,
}

/// The number of the slave that a descriptor is of, by its link; of /dev/tty that of the task's controlling terminal.
pub fn open_slave(link: &[u8], terminal: Option<u64>) -> Option<u32> {
    if link == b"/dev/tty" {
        return terminal.filter(|device| major(*device) == SLAVES).map(|device| minor(device) as u32);
    }
    let number = link.rsplit(|byte| *byte == b'/').next()?;
    let text = std::str::from_utf8(number).ok().filter(|_| link.ends_with(&[b"/pts/", number].concat()))?;
    text.parse().ok()
}

/// A slave's descriptor of which it is to be seen who has the other side.
#[derive(Debug)]
struct OpenSlave {
    what: String,
    info: usize,
    hung_up: bool,
    /// Its master was closed: the number is its own until it is closed, too.
    gone: bool,
}

/// The terminals of a tree.
#[derive(Debug, Default)]
pub struct Terminals {
    infos: Vec<TtyInfoEntry>,
    more: Vec<StasisTtyEntry>,
    slaves: Vec<OpenSlave>,
    /// Devices that are no pseudo terminals and are open by their own names.
    named: HashSet<u64>,
    /// The numbers of slaves that processes have open.
    open: HashSet<u32>,
    /// What is queued, by the terminal that is to read it.
    data: Vec<TtyDataEntry>,
    /// The place in `infos`, by the device of the terminal (a slave's number in its place) and whether it is a master.
    places: HashMap<(u64, bool), usize>,
}

/// Whether an entry is of a master.
pub(super) fn is_master(info: &TtyInfoEntry) -> bool {
    let rdev = u64::from(info.rdev);
    info.r#type() == TtyType::Pty && (major(rdev), minor(rdev)) == PTMX
}

/// Whether a device is a terminal's: of pseudo terminals, consoles, serial lines.
pub(super) fn is_terminal(rdev: u64) -> bool {
    matches!(major(rdev), 2..=5 | SLAVES..=143 | 166 | 188 | 204 | 229)
}

/// What a descriptor stands for, and whether it was hung up.
pub(super) fn identify(descriptor: &Descriptor) -> Result<(Side, bool)> {
    let copy = descriptor.copy.as_fd();
    let rdev = descriptor.stat.st_rdev;
    let doing = || format!("ask which terminal {} is", descriptor.describe());
    if (major(rdev), minor(rdev)) == PTMX {
        return Ok((Side::Master(sys::tty::number(copy).doing(doing)?), false));
    }
    let device = match sys::tty::device(copy) {
        Err(Errno::EIO) if major(rdev) == SLAVES => return Ok((Side::Slave(minor(rdev) as u32), true)),
        Err(Errno::EIO) => {
            let what = "it was hung up, and nothing tells which terminal it was";
            return Err(Error::unsupported(descriptor.describe(), what).with_help("close the descriptor"));
        }
        other => other.doing(doing)?,
    };
    let side = match (major(rdev), major(device), minor(device)) {
        (5, _, _) if minor(rdev) == 1 => Side::Device(TtyType::Console, device),
        (_, SLAVES, number) => Side::Slave(number as u32),
        (2 | 3, ..) => {
            return Err(Error::unsupported(descriptor.describe(), "it is a pseudo terminal of the BSD kind"));
        }
        (_, 4, 0..64) => Side::Device(TtyType::Vt, device),
        _ => Side::Device(TtyType::Serial, device),
    };
    Ok((side, false))
}

/// Where the slaves of a master's file system are: beside a `ptmx` in it, else in `pts` beside the device.
pub(super) fn slave_path(ptmx: &[u8], number: u32) -> PathBuf {
    let path = Path::new(std::ffi::OsStr::from_bytes(ptmx));
    let dir = path.parent().unwrap_or(Path::new("/dev"));
    match dir.file_name().is_some_and(|name| name == "pts") {
        true => dir.join(number.to_string()),
        false => dir.join("pts").join(number.to_string()),
    }
}

/// Whether somebody has to look at a master because of its slave: it was open, and is open no more.
pub(super) fn is_hung_up(master: &Descriptor) -> Result<bool> {
    let mut polled = [PollFd::new(master.copy.as_fd(), PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO).doing(|| format!("ask for the state of {}", master.describe()))?;
    Ok(polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)))
}

impl Terminals {
    /// The id of a descriptor's terminal, which is described when it is first seen.
    pub(super) fn id_of(
        &mut self,
        descriptor: &Descriptor,
        (side, hung_up): (Side, bool),
        options: &DumpOptions,
    ) -> Result<u32> {
        // Consoles and /dev/tty are other names of devices.
        let key = match side {
            Side::Master(number) => (makedev(SLAVES, number.into()), true),
            Side::Slave(number) => (makedev(SLAVES, number.into()), false),
            Side::Device(_, device) => (device, false),
        };
        if let (Side::Device(_, device), false) = (side, is_own(descriptor)) {
            self.named.insert(device);
        }
        let node = node_of(descriptor, side)?;
        let place = match self.places.get(&key) {
            Some(&place) => place,
            None => {
                let told = describe(descriptor, (side, hung_up), &node, self.infos.len() as u32 + 1)?;
                self.add(key, told)
            }
        };
        let info = &mut self.infos[place];
        if info.dev != Some(node.st_dev as u32) {
            let what = "the tree has terminals of the same number in two file systems";
            return Err(Error::unsupported(descriptor.describe(), what));
        }
        // A hung-up descriptor tells nothing of a terminal that lives on.
        if info.termios.is_none() && !hung_up {
            *info = describe(descriptor, (side, false), &node, info.id)?.0;
        }
        if external(options, rdev_of(descriptor, side), node.st_dev).is_some() {
            info.set_type(TtyType::ExtTty);
        } else if let Side::Slave(_) = side {
            let (what, gone) = (descriptor.describe(), descriptor.stat.st_nlink == 0);
            self.slaves.push(OpenSlave { what, info: place, hung_up, gone });
        }
        Ok(self.infos[place].id)
    }

    fn add(&mut self, key: (u64, bool), (info, mode): (TtyInfoEntry, Option<u32>)) -> usize {
        if mode.is_some() {
            self.more.push(StasisTtyEntry { tty_id: info.id, mode, ..StasisTtyEntry::default() });
        }
        self.infos.push(info);
        self.places.insert(key, self.infos.len() - 1);
        self.infos.len() - 1
    }

    /// Finds out who controls the terminals, when all descriptors of all processes are known. Returns the processes that
    /// have no controlling terminal though the leaders of their sessions have one.
    pub fn settle(&mut self, members: &[Member], options: &DumpOptions) -> Result<Vec<Pid>> {
        for member in members {
            let Some(device) = member.terminal else { continue };
            let place = match member.pid == member.sid {
                true => self.controlling(member, device, options)?,
                false => match self.places.get(&(device, false)) {
                    Some(&place) => place,
                    None => continue,
                },
            };
            let info = &mut self.infos[place];
            (info.sid, info.pgrp) = (member.sid.as_raw() as u32, member.foreground.as_raw().max(0) as u32);
        }
        for slave in &self.slaves {
            let info = &self.infos[slave.info];
            let device = u64::from(info.rdev);
            if slave.gone || self.places.contains_key(&(device, true)) {
                continue;
            }
            let leads = members.iter().any(|member| member.pid == member.sid && member.terminal == Some(device));
            if !options.common.shell_job || leads || slave.hung_up {
                return Err(outside(slave.what.clone(), info));
            }
        }
        let leads = |sid: Pid| members.iter().any(|m| m.pid == sid && m.terminal.is_some());
        let without = members.iter().filter(|m| m.terminal.is_none() && leads(m.sid));
        Ok(without.map(|m| m.pid).collect())
    }

    /// The place of the terminal that controls a session of the tree; perhaps no process has a descriptor of it.
    fn controlling(&mut self, leader: &Member, device: u64, options: &DumpOptions) -> Result<usize> {
        let what = format!("the controlling terminal of process {}", leader.pid);
        let nameless = |what: String| {
            let reason = "it is a device that no process of the tree has open by its own name";
            Error::unsupported(what, reason).with_help("a descriptor of /dev/tty does not tell the name")
        };
        if let Some(&place) = self.places.get(&(device, false)) {
            let named = major(device) == SLAVES || self.named.contains(&device);
            return if named { Ok(place) } else { Err(nameless(what)) };
        }
        if let Some(place) = self.other_side(device) {
            return Ok(place);
        }
        let id = self.infos.len() as u32 + 1;
        let node = nix::sys::stat::stat(&PathBuf::from(format!("/dev/pts/{}", minor(device)))).ok();
        let dev = node.filter(|node| node.st_rdev == device).map(|node| node.st_dev);
        let mut info = empty(id, device, dev);
        if external(options, device, dev.unwrap_or_default()).is_none() {
            return Err(if major(device) == SLAVES { outside(what, &info) } else { nameless(what) });
        }
        info.set_type(TtyType::ExtTty);
        Ok(self.add((device, false), (info, None)))
    }

    /// The place of a slave of which the tree has the master.
    fn other_side(&mut self, device: u64) -> Option<usize> {
        if let Some(&place) = self.places.get(&(device, false)) {
            return Some(place);
        }
        let master = &self.infos[*self.places.get(&(device, true))?];
        let id = self.infos.len() as u32 + 1;
        let (locked, exclusive, packet_mode) = (false, false, false);
        let slave = TtyInfoEntry { id, locked, exclusive, packet_mode, rdev: device as u32, ..master.clone() };
        Some(self.add((device, false), (slave, None)))
    }

    /// Takes note of the slaves that processes have open.
    pub fn note_open(&mut self, numbers: impl Iterator<Item = u32>) {
        self.open.extend(numbers);
    }

    /// Takes note of a slave that is only under way in the queue of a socket. Of its master, which was looked at before,
    /// it did not show that it has one.
    pub(super) fn note_under_way(&mut self, descriptor: &Descriptor, number: u32) -> Result<()> {
        let master = (makedev(SLAVES, number.into()), true);
        match self.open.insert(number) && self.places.contains_key(&master) {
            true => Err(unasked(descriptor)),
            false => Ok(()),
        }
    }

    /// Takes note of what was queued in pairs, by number.
    pub fn note_queued(&mut self, queued: &[(u32, Queued)]) {
        for (number, [to_slave, to_master]) in queued {
            let device = makedev(SLAVES, (*number).into());
            let slave = if to_slave.is_empty() { None } else { self.other_side(device) };
            let master = self.places.get(&(device, true)).copied().filter(|_| !to_master.is_empty());
            for (place, data) in [(slave, to_slave), (master, to_master)] {
                let tty_id = place.map(|place| self.infos[place].id);
                self.data.extend(tty_id.map(|tty_id| TtyDataEntry { tty_id, data: data.clone() }));
            }
        }
    }

    /// What the task is to be asked that has a master: nothing where nothing can be queued in the pair.
    pub(super) fn queues(&mut self, master: &Descriptor, hung_up: bool, asked: &Asked) -> Result<Option<Queues>> {
        let (copy, doing) = (master.copy.as_fd(), || format!("ask what is queued in {}", master.describe()));
        let number = sys::tty::number(copy).doing(doing)?;
        // Where the slave was never open, looking would leave a trace: it would have been.
        if sys::tty::is_locked(copy).doing(doing)? || !(hung_up || self.open.contains(&number)) {
            return Ok(None);
        }
        let peer = sys::tty::open_peer(copy, libc::O_RDWR | libc::O_NONBLOCK).doing(doing)?;
        let here = |fd: BorrowedFd<'_>| -> Result<(PollFlags, usize)> {
            let mut polled = [PollFd::new(fd, PollFlags::POLLIN | PollFlags::POLLOUT)];
            poll(&mut polled, PollTimeout::ZERO).doing(doing)?;
            let len = sys::file::readable_bytes(fd).doing(doing)?;
            Ok((polled[0].revents().unwrap_or(PollFlags::empty()), len))
        };
        let ((events, to_slave), (at_master, to_master)) = (here(peer.as_fd())?, here(copy)?);
        let termios = sys::tty::termios(copy).doing(doing)?;
        let device = makedev(SLAVES, number.into());
        // A slave also takes no output when the master has as much as it keeps.
        let takes = |events: PollFlags| events.contains(PollFlags::POLLOUT);
        let stopped = !takes(events) && to_master < queue::NEARLY_FULL;
        if !takes(at_master) || (!takes(events) && !stopped) {
            let what = "so much is queued in it that it takes no more: it could not be put back for sure";
            return Err(Error::unsupported(master.describe(), what).with_help("try again when somebody has read it"));
        }
        if let (true, Some(place)) = (stopped, self.places.get(&(device, true))) {
            let tty_id = self.infos[*place].id;
            match self.more.iter_mut().find(|more| more.tty_id == tty_id) {
                Some(more) => more.stopped = Some(true),
                None => self.more.push(StasisTtyEntry { tty_id, mode: None, stopped: Some(true) }),
            }
        }
        let input = to_slave > 0 || events.contains(PollFlags::POLLIN);
        if !input && to_master == 0 && !queue::has_lines(&termios) {
            return Ok(None);
        }
        if asked.background == Some(device) {
            // The kernel lets nobody in the background read its own terminal.
            return match input || to_master > 0 {
                false => Ok(None),
                true => Err(Error::unsupported(
                    master.describe(),
                    "something is queued in it, and it is the controlling terminal of the process, which is in the background",
                )),
            };
        }
        if master.queue.is_some() {
            return Err(unasked(master));
        }
        Ok(Some(Queues {
            what: master.describe(),
            number,
            master: master.fd,
            flags: master.flags(),
            free: asked.free,
            termios,
            packets: sys::tty::packet_mode(copy).doing(doing)?,
            stopped,
            len: [to_slave.max(input.into()), to_master],
        }))
    }

    /// Writes what is known of them.
    pub fn write(&self, out: &NewImageDir) -> Result<()> {
        if !self.infos.is_empty() {
            out.write_all(kinds::TTY_INFO.single(), &self.infos)?;
        }
        if !self.data.is_empty() {
            out.write_all(kinds::TTY_DATA.single(), &self.data)?;
        }
        if !self.more.is_empty() {
            out.write_all(kinds::STASIS_TTY.single(), &self.more)?;
        }
        Ok(())
    }
}

/// A terminal with something in it, perhaps, of which a side is only under way in the queue of a socket.
fn unasked(descriptor: &Descriptor) -> Error {
    let what = "something may be queued in that terminal, which only a process that has both sides can tell";
    Error::unsupported(descriptor.describe(), what).with_help("try again when the descriptor has been received")
}

/// A slave whose other side is not the tree's.
fn outside(what: String, info: &TtyInfoEntry) -> Error {
    let key = format!("tty[{:x}:{:x}]", info.rdev, info.dev.unwrap_or_default());
    Error::unsupported(what, "the other side of the terminal is outside the tree").with_help(format!(
        "use --shell-job (-j) if the tree was started from a shell on this terminal, or --external '{key}' at dump and \
         --inherit-fd 'fd[N]:{key}' at restore"
    ))
}

/// The option by which the caller supplies a terminal at restore.
fn external(options: &DumpOptions, rdev: u64, dev: u64) -> Option<&External> {
    let key = External::Tty { rdev, dev };
    options.common.external.iter().find(|external| **external == key)
}

fn empty(id: u32, rdev: u64, dev: Option<u64>) -> TtyInfoEntry {
    TtyInfoEntry {
        id,
        r#type: TtyType::Pty as i32,
        locked: false,
        exclusive: false,
        packet_mode: false,
        sid: 0,
        pgrp: 0,
        rdev: rdev as u32,
        termios: None,
        termios_locked: None,
        winsize: None,
        pty: None,
        dev: dev.map(|dev| dev as u32),
        uid: None,
        gid: None,
    }
}

/// Whether a descriptor was opened as /dev/tty.
fn is_own(descriptor: &Descriptor) -> bool {
    (major(descriptor.stat.st_rdev), minor(descriptor.stat.st_rdev)) == OWN
}

/// The device that a terminal is called by.
fn rdev_of(descriptor: &Descriptor, side: Side) -> u64 {
    match side {
        Side::Slave(number) => makedev(SLAVES, number.into()),
        Side::Device(_, device) if is_own(descriptor) => device,
        _ => descriptor.stat.st_rdev,
    }
}

/// The node of a terminal: of a master that of its slave.
fn node_of(descriptor: &Descriptor, side: Side) -> Result<FileStat> {
    let path = match side {
        Side::Master(number) => slave_path(&descriptor.link, number),
        // Opened as /dev/tty.
        Side::Slave(number) if major(descriptor.stat.st_rdev) != SLAVES => slave_path(b"/dev/ptmx", number),
        _ => return Ok(descriptor.stat),
    };
    let doing = || format!("look at {} for {}", path.display(), descriptor.describe());
    let node = nix::sys::stat::stat(&path).doing(doing)?;
    if major(node.st_rdev) != SLAVES {
        let what = format!("its slave is not at {}", path.display());
        return Err(Error::unsupported(descriptor.describe(), what));
    }
    Ok(node)
}

/// What is to be said of a terminal, and the mode of its node.
fn describe(
    descriptor: &Descriptor,
    (side, hung_up): (Side, bool),
    node: &FileStat,
    id: u32,
) -> Result<(TtyInfoEntry, Option<u32>)> {
    let copy = descriptor.copy.as_fd();
    let mut info = empty(id, rdev_of(descriptor, side), Some(node.st_dev));
    match side {
        Side::Master(index) | Side::Slave(index) => {
            info.pty = Some(TtyPtyEntry { index });
            (info.uid, info.gid) = (Some(node.st_uid), Some(node.st_gid));
        }
        Side::Device(kind, _) => info.set_type(kind),
    }
    let mode = info.pty.is_some().then_some(node.st_mode & MODE);
    if hung_up {
        return Ok((info, mode));
    }
    let doing = || format!("ask for the settings of {}", descriptor.describe());
    let discipline = sys::tty::discipline(copy).doing(doing)?;
    if discipline != 0 {
        let what = format!("its line discipline is {discipline}; only that of terminals (0) is supported");
        return Err(Error::unsupported(descriptor.describe(), what));
    }
    info.termios = Some(settings::to_entry(&sys::tty::termios(copy).doing(doing)?));
    let locked = sys::tty::locked_termios(copy).doing(doing)?;
    // The kernel fills in speeds that mean nothing here.
    let locked = sys::tty::Termios { ispeed: 0, ospeed: 0, ..locked };
    info.termios_locked = (locked != sys::tty::Termios::default()).then(|| settings::to_entry(&locked));
    info.winsize = Some(settings::size_to_entry(sys::tty::window_size(copy).doing(doing)?));
    info.exclusive = sys::tty::is_exclusive(copy).doing(doing)?;
    if let Side::Master(_) = side {
        info.locked = sys::tty::is_locked(copy).doing(doing)?;
        info.packet_mode = sys::tty::packet_mode(copy).doing(doing)?;
    }
    Ok((info, mode))
}

/// The file of the images that has the path of a descriptor. The caller of the restore supplies the terminal where the
/// caller of the dump said so.
pub(super) fn path_of(descriptor: &Descriptor, side: Side, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
    let mut reg = regfile::describe(descriptor, id)?;
    reg.mode = None;
    const DELETED: &[u8] = b" (deleted)";
    if descriptor.link.ends_with(DELETED) {
        reg.name.truncate(reg.name.len() - DELETED.len());
    } else {
        cx.check_mount(descriptor)?;
    }
    if let Some(key) = external(cx.options, rdev_of(descriptor, side), node_of(descriptor, side)?.st_dev) {
        reg.name = key.to_string().into_bytes();
        reg.ext = Some(true);
    }
    let r#type = crate::image::proto::FdTypes::Reg as i32;
    Ok(FileEntry { r#type, id, reg: Some(reg), ..FileEntry::default() })
}
