//! Terminals while a tree is restored: pairs are made before there is a process, descriptors of them are opened when
//! their turn comes, and what would stand in the way of that (locks, packet mode) is set last.

use super::found::{is_master, slave_path};
use super::{queue, settings};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FileEntry, StasisTtyEntry, TtyDataEntry, TtyFileEntry, TtyInfoEntry, TtyType};
use crate::image::{ImageDir, kinds};
use crate::kind::{RestoreContext, regfile};
use crate::options::InheritKey;
use crate::sys;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::{Mode, fchmodat};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a number that is taken is waited for: the kernel gives that of a killed tree back a moment later.
const PATIENCE: Duration = Duration::from_secs(1);
/// The path that means a process's own controlling terminal.
const OWN: &[u8] = b"/dev/tty";

/// A pseudo terminal that was made.
#[derive(Debug)]
struct Pair {
    /// The first side, until its descriptor is asked for; nobody has it where the tree has not.
    master: Option<OwnedFd>,
    /// A descriptor of the second, as long as others are opened; none where it never was open.
    peer: Option<OwnedFd>,
    /// Where the slave is.
    path: Vec<u8>,
}

/// A session with its terminal.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// The session, a process of the tree.
    pub sid: u32,
    /// Our descriptor of the terminal.
    pub terminal: i32,
    /// Its foreground group, 0 if none.
    pub foreground: u32,
}

/// A descriptor that was opened as /dev/tty, which only a process of the session can do.
#[derive(Debug, Clone, Copy)]
pub struct Through {
    /// The file's id.
    pub file: u32,
    /// The session; 0 for the restorer's own.
    pub sid: u32,
    /// O_* flags.
    pub flags: i32,
}

/// The terminals of the images, and what was made of them.
#[derive(Debug, Default)]
pub struct Made {
    infos: BTreeMap<u32, TtyInfoEntry>,
    more: HashMap<u32, StasisTtyEntry>,
    /// What is queued for each terminal.
    data: HashMap<u32, Vec<u8>>,
    pairs: BTreeMap<u32, Pair>,
    /// Terminals that the caller supplies, and devices, by the id of the terminal.
    others: HashMap<u32, OwnedFd>,
    /// Descriptors that had to be opened before others, by file.
    ready: HashMap<u32, OwnedFd>,
    /// The terminal that the restorer was started on, in the place of this one.
    own: Option<(OwnedFd, u32)>,
}

/// A pair that is to be made.
#[derive(Debug, Default)]
struct Wanted<'a> {
    master: Option<&'a TtyFileEntry>,
    info: Option<&'a TtyInfoEntry>,
    slaves: Vec<&'a TtyFileEntry>,
}

impl Made {
    /// What the images hold.
    pub fn load(images: &ImageDir) -> Result<Made> {
        let infos: Vec<TtyInfoEntry> = images.read_all(kinds::TTY_INFO.single())?;
        let more: Vec<StasisTtyEntry> = images.read_all(kinds::STASIS_TTY.single())?;
        let data: Vec<TtyDataEntry> = images.read_all(kinds::TTY_DATA.single())?;
        Ok(Made {
            infos: infos.into_iter().map(|info| (info.id, info)).collect(),
            more: more.into_iter().map(|more| (more.tty_id, more)).collect(),
            data: data.into_iter().map(|data| (data.tty_id, data.data)).collect(),
            ..Made::default()
        })
    }

    fn info(&self, tty: &TtyFileEntry) -> Result<&TtyInfoEntry> {
        let lacking = || {
            Error::state(format!(
                "file {} of the images is of terminal {}, which is not in them",
                tty.id, tty.tty_info_id
            ))
        };
        self.infos.get(&tty.tty_info_id).ok_or_else(lacking)
    }

    /// Takes a descriptor that a process opened for us.
    pub fn put(&mut self, file: u32, fd: OwnedFd) {
        self.ready.insert(file, fd);
    }

    /// The sessions of `tree` that have a terminal.
    pub fn sessions(&self, tree: &std::collections::HashSet<sys::Pid>) -> Result<Vec<Session>> {
        let mut sessions = Vec::new();
        for info in self.infos.values().filter(|info| info.sid != 0 && !is_master(info)) {
            if !tree.contains(&sys::Pid::from_raw(info.sid as i32)) {
                continue;
            }
            let of_pair = index(info).and_then(|index| self.pairs.get(&index)?.peer.as_ref());
            let Some(fd) = of_pair.or_else(|| self.others.get(&info.id)) else {
                return Err(Error::state(format!("the images hold no terminal for session {}", info.sid)));
            };
            sessions.push(Session { sid: info.sid, terminal: fd.as_raw_fd(), foreground: info.pgrp });
        }
        Ok(sessions)
    }

    /// The terminal that the restorer was started on, which the tree shares, and what it is to be for the tree.
    pub fn own(&self) -> Option<(BorrowedFd<'_>, &TtyInfoEntry)> {
        let (fd, id) = self.own.as_ref()?;
        Some((fd.as_fd(), self.infos.get(id)?))
    }

    /// Everything is open: closes what is not the tree's, and sets what would have stood in the way.
    pub fn finish(
        &mut self,
        open: &HashMap<u32, std::sync::Arc<OwnedFd>>,
        files: &HashMap<u32, FileEntry>,
    ) -> Result<()> {
        for file in files.values() {
            let (Some(tty), Some(fd)) = (&file.tty, open.get(&file.id)) else { continue };
            let info = self.info(tty)?;
            let doing = || format!("set the modes of terminal {}", info.id);
            if info.exclusive && info.r#type() == TtyType::Pty && !sys::tty::is_exclusive(fd.as_fd()).unwrap_or(true) {
                sys::tty::set_exclusive(fd.as_fd()).doing(doing)?;
            }
            if !is_master(info) {
                continue;
            }
            sys::tty::set_packet_mode(fd.as_fd(), info.packet_mode).doing(doing)?;
            sys::tty::lock(fd.as_fd(), info.locked).doing(doing)?;
        }
        self.pairs.clear();
        self.others.clear();
        self.own = None;
        Ok(())
    }
}

/// The number of a pair.
fn index(info: &TtyInfoEntry) -> Option<u32> {
    (info.r#type() == TtyType::Pty).then(|| info.pty.as_ref().map(|pty| pty.index))?
}

/// The path by which a file of the images was opened.
fn path<'a>(tty: &TtyFileEntry, files: &'a HashMap<u32, FileEntry>) -> Result<&'a [u8]> {
    let reg = tty.regf_id.and_then(|id| files.get(&id)).and_then(|file| file.reg.as_ref());
    let reg = reg.ok_or_else(|| Error::state(format!("terminal file {} of the images has no path", tty.id)))?;
    Ok(&reg.name)
}

/// Makes the pairs, and takes what the caller supplies. To be called before there is a process.
pub fn prepare(cx: &mut RestoreContext<'_>) -> Result<()> {
    let mut made = std::mem::take(&mut cx.terminals);
    let result = make_all(&mut made, cx);
    cx.terminals = made;
    result
}

fn make_all(made: &mut Made, cx: &RestoreContext<'_>) -> Result<()> {
    let infos = made.infos.clone();
    let mut wanted: BTreeMap<u32, Wanted<'_>> = BTreeMap::new();
    let mut files: Vec<&TtyFileEntry> = cx.files.values().filter_map(|file| file.tty.as_ref()).collect();
    files.sort_unstable_by_key(|tty| tty.id);
    for tty in files {
        made.info(tty)?;
        let Some(info) = infos.get(&tty.tty_info_id) else { continue };
        let Some(index) = index(info) else { continue };
        let pair = wanted.entry(index).or_default();
        if !is_master(info) {
            pair.slaves.push(tty);
            pair.info = pair.info.or(Some(info));
        } else if pair.master.replace(tty).is_some() {
            return Err(Error::state(format!("the images hold two masters of terminal {index}")));
        } else {
            pair.info = Some(info);
        }
    }
    // Where nobody has the master and a slave is alive, the pair is the restorer's.
    let hung_up = |tty: &TtyFileEntry| cx.extras.get(&tty.id).is_some_and(|more| more.hung_up());
    wanted.retain(|_, pair| pair.master.is_some() || pair.slaves.iter().all(|tty| hung_up(tty)));
    allocate(made, &wanted, cx)?;
    for (index, wanted) in &wanted {
        let sessions = infos.values().any(|info| self::index(info) == Some(*index) && info.sid != 0);
        let doing = format!("make terminal {index} what it was");
        set_up(made, *index, wanted, (sessions, &hung_up), cx).map_err(|e| e.with_help(doing))?;
    }
    take_others(made, &infos, cx)
}

/// Opens masters until those with the wanted numbers are there. The kernel gives the lowest that is free.
fn allocate(made: &mut Made, wanted: &BTreeMap<u32, Wanted<'_>>, cx: &RestoreContext<'_>) -> Result<()> {
    let since = Instant::now();
    let mut spare = Vec::new();
    while let Some((index, pair)) = wanted.iter().find(|(index, _)| !made.pairs.contains_key(index)) {
        let ptmx = pair.master.map_or(Ok(&b"/dev/ptmx"[..]), |tty| path(tty, cx.files))?;
        let flags = pair.master.map_or(libc::O_RDWR, |tty| tty.flags as i32 & !libc::O_ASYNC);
        let how = OFlag::from_bits_retain(flags | libc::O_NOCTTY | libc::O_CLOEXEC);
        let doing = || format!("open {} for terminal {index}", String::from_utf8_lossy(ptmx));
        let master = regfile::open_below(cx.root, ptmx, how, ResolveFlag::RESOLVE_IN_ROOT).doing(doing)?;
        let number = sys::tty::number(master.as_fd()).doing(doing)?;
        let here = wanted.get(&number).filter(|other| {
            let mode = |tty: &TtyFileEntry| tty.flags & libc::O_ACCMODE as u32;
            other.master.map(mode) == pair.master.map(mode) || number == *index
        });
        if let Some(other) = here {
            let path = std::os::unix::ffi::OsStringExt::into_vec(slave_path(ptmx, number).into_os_string());
            if let Some(tty) = other.master {
                sys::file::set_flags(master.as_fd(), tty.flags as i32 & !libc::O_ASYNC).doing(doing)?;
            }
            made.pairs.insert(number, Pair { master: Some(master), peer: None, path });
            continue;
        }
        if number < *index {
            spare.push(master);
            continue;
        }
        drop(master);
        if since.elapsed() > PATIENCE {
            let what = format!("the number {index} of a pseudo terminal (/dev/pts/{index}) is taken by another one");
            return Err(Error::state(what)
                .with_help("close that terminal, or restore with a devpts file system of the tree's own at /dev/pts"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Gives a pair what it had, and opens the descriptors that come before others.
fn set_up(
    made: &mut Made,
    number: u32,
    wanted: &Wanted<'_>,
    (session, hung_up): (bool, &dyn Fn(&TtyFileEntry) -> bool),
    cx: &RestoreContext<'_>,
) -> Result<()> {
    let doing = || format!("give terminal {number} what it had");
    let (Some(pair), Some(info)) = (made.pairs.get_mut(&number), wanted.info) else { return Ok(()) };
    let Some(master) = &pair.master else { return Ok(()) };
    if session || !wanted.slaves.is_empty() || wanted.master.is_some_and(hung_up) {
        sys::tty::lock(master.as_fd(), false).doing(doing)?;
        pair.peer = Some(sys::tty::open_peer(master.as_fd(), libc::O_RDWR).doing(doing)?);
    }
    own_node(pair, info, made.more.get(&info.id), cx)?;
    let hung: Vec<&TtyFileEntry> = wanted.slaves.iter().copied().filter(|tty| hung_up(tty)).collect();
    for tty in &hung {
        made.ready.insert(tty.id, open_slave(pair, tty, cx)?);
    }
    if !hung.is_empty() && wanted.master.is_some() {
        if let Some(peer) = pair.peer.take() {
            sys::tty::hang_up(peer.as_fd()).doing(doing)?;
        }
        pair.peer = Some(sys::tty::open_peer(master.as_fd(), libc::O_RDWR).doing(doing)?);
    }
    if let Some(termios) = &info.termios {
        sys::tty::set_termios(master.as_fd(), &settings::from_entry(termios)?).doing(doing)?;
    }
    if let Some(termios) = &info.termios_locked {
        sys::tty::set_locked_termios(master.as_fd(), &settings::from_entry(termios)?).doing(doing)?;
    }
    if let Some(size) = &info.winsize {
        sys::tty::set_window_size(master.as_fd(), settings::size_from_entry(size)).doing(doing)?;
    }
    if let (Some(peer), Some(termios)) = (&pair.peer, &info.termios) {
        let of = |wanted: bool| {
            let side = made.infos.values().find(|info| index(info) == Some(number) && is_master(info) == wanted);
            side.and_then(|info| made.data.get(&info.id)).map_or(&[][..], Vec::as_slice)
        };
        let stopped = made.more.get(&info.id).is_some_and(|more| more.stopped());
        queue::put(master.as_fd(), peer.as_fd(), termios, [of(false), of(true)], stopped).doing(doing)?;
    }
    if wanted.master.is_none() {
        // The slaves are hung up by the end of their master.
        (pair.master, pair.peer) = (None, None);
    }
    Ok(())
}

/// Sets the owner and the mode of a slave's node.
fn own_node(pair: &Pair, info: &TtyInfoEntry, more: Option<&StasisTtyEntry>, cx: &RestoreContext<'_>) -> Result<()> {
    let doing = || format!("set the owner of {}", String::from_utf8_lossy(&pair.path));
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let node = regfile::open_below(cx.root, &pair.path, flags, ResolveFlag::RESOLVE_IN_ROOT).doing(doing)?;
    let path = sys::file::path_of(node.as_fd());
    if let (Some(uid), Some(gid)) = (info.uid, info.gid) {
        nix::unistd::chown(path.as_c_str(), Some(uid.into()), Some(gid.into())).doing(doing)?;
    }
    if let Some(mode) = more.and_then(|more| more.mode) {
        let mode = Mode::from_bits_truncate(mode);
        let follow = nix::sys::stat::FchmodatFlags::FollowSymlink;
        fchmodat(cx.root, path.as_c_str(), mode, follow).doing(doing)?;
    }
    Ok(())
}

/// Another descriptor of a slave. The one way gives O_LARGEFILE, the other not.
fn open_slave(pair: &Pair, tty: &TtyFileEntry, cx: &RestoreContext<'_>) -> Result<OwnedFd> {
    let doing = || format!("open {}", String::from_utf8_lossy(&pair.path));
    let flags = tty.flags as i32 & !libc::O_ASYNC;
    let large = sys::file::large_file_flag();
    if let (Some(master), true) = (&pair.master, large != 0 && flags & large == 0) {
        return sys::tty::open_peer(master.as_fd(), flags).doing(doing);
    }
    let how = OFlag::from_bits_retain(flags | libc::O_NOCTTY | libc::O_CLOEXEC);
    regfile::open_below(cx.root, &pair.path, how, ResolveFlag::RESOLVE_IN_ROOT).doing(doing)
}

/// Takes the terminals that are not made: what the caller supplies, the one that we were started on, devices.
fn take_others(made: &mut Made, infos: &BTreeMap<u32, TtyInfoEntry>, cx: &RestoreContext<'_>) -> Result<()> {
    for info in infos.values() {
        let of_it = |tty: &&TtyFileEntry| tty.tty_info_id == info.id;
        let files = || cx.files.values().filter_map(|file| file.tty.as_ref()).filter(of_it);
        let file = files().next();
        // /dev/tty would be ours.
        let named = files().find(|tty| path(tty, cx.files).is_ok_and(|path| !path.ends_with(OWN)));
        let led = info.sid != 0 && cx.tree.contains(&sys::Pid::from_raw(info.sid as i32));
        let fd = match info.r#type() {
            _ if file.is_none() && !led => continue,
            TtyType::Pty if is_master(info) || index(info).is_some_and(|index| made.pairs.contains_key(&index)) => {
                continue;
            }
            TtyType::Pty => {
                made.own = Some((own_terminal()?, info.id));
                continue;
            }
            TtyType::ExtTty => supplied(info, cx)?,
            _ => match named {
                Some(tty) if led => open_device(tty, info, libc::O_RDWR | libc::O_NONBLOCK, cx)?,
                _ => continue,
            },
        };
        made.others.insert(info.id, fd);
    }
    Ok(())
}

/// The terminal that the caller supplies.
fn supplied(info: &TtyInfoEntry, cx: &RestoreContext<'_>) -> Result<OwnedFd> {
    let key = InheritKey::Tty { rdev: info.rdev.into(), dev: info.dev.unwrap_or_default().into() };
    cx.inherited(|given| *given == key)?.ok_or_else(|| {
        let text = format!("tty[{:x}:{:x}]", info.rdev, info.dev.unwrap_or_default());
        Error::state(format!("{text} was left out of the dump as external, and no descriptor is given for it"))
            .with_help(format!("use --inherit-fd 'fd[N]:{text}'"))
    })
}

/// The terminal that this process was started on.
fn own_terminal() -> Result<OwnedFd> {
    let standard = (0..3).filter_map(|number| sys::file::duplicate(number).ok());
    let found = standard.into_iter().find(|fd| sys::tty::termios(fd.as_fd()).is_ok());
    if let Some(fd) = found {
        return Ok(fd);
    }
    let how = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    nix::fcntl::open("/dev/tty", how, Mode::empty()).doing(|| "open the terminal that this was started on").map_err(
        |e| {
            e.with_help(
                "the tree had the terminal that it was started on: restore it on a terminal, too, with --shell-job",
            )
        },
    )
}

/// Opens a device by its path. Others may use it as well: its settings are touched only where they differ.
fn open_device(tty: &TtyFileEntry, info: &TtyInfoEntry, flags: i32, cx: &RestoreContext<'_>) -> Result<OwnedFd> {
    let path = path(tty, cx.files)?;
    let doing = || format!("open the terminal {}", String::from_utf8_lossy(path));
    let how = OFlag::from_bits_retain(flags | libc::O_NOCTTY | libc::O_CLOEXEC);
    let fd = regfile::open_below(cx.root, path, how, ResolveFlag::RESOLVE_IN_ROOT).doing(doing)?;
    let termios = info.termios.as_ref().map(settings::from_entry).transpose()?;
    if let Some(termios) = termios.filter(|termios| sys::tty::termios(fd.as_fd()) != Ok(*termios)) {
        sys::tty::set_termios(fd.as_fd(), &termios).doing(doing)?;
    }
    Ok(fd)
}

/// A file's descriptor.
pub fn open(tty: &TtyFileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
    if let Some(fd) = cx.terminals.ready.remove(&tty.id) {
        return Ok(fd);
    }
    let info = cx.terminals.info(tty)?;
    let gone = || Error::state(format!("terminal {} of the images was not made", info.id));
    let pair = index(info).and_then(|index| cx.terminals.pairs.get(&index));
    let flags = tty.flags as i32 & !libc::O_ASYNC;
    match (info.r#type(), pair) {
        (TtyType::Pty, Some(pair)) if is_master(info) => {
            pair.master.as_ref().ok_or_else(gone)?.try_clone().doing(|| "copy a descriptor")
        }
        (TtyType::Pty, Some(pair)) => open_slave(pair, tty, cx),
        (TtyType::Pty, None) => {
            let (own, _) = cx.terminals.own.as_ref().ok_or_else(gone)?;
            let how = OFlag::from_bits_retain(flags | libc::O_NOCTTY | libc::O_CLOEXEC);
            let path = sys::file::path_of(own.as_fd());
            nix::fcntl::open(path.as_c_str(), how, Mode::empty()).doing(|| "open the terminal that this was started on")
        }
        (TtyType::ExtTty, _) => {
            cx.terminals.others.get(&info.id).ok_or_else(gone)?.try_clone().doing(|| "copy a descriptor")
        }
        _ => open_device(tty, info, flags, cx),
    }
}

/// The descriptors that were opened as /dev/tty.
pub fn through(cx: &RestoreContext<'_>) -> Result<Vec<Through>> {
    let mut all = Vec::new();
    for tty in cx.files.values().filter_map(|file| file.tty.as_ref()) {
        let info = cx.terminals.info(tty)?;
        if path(tty, cx.files)?.ends_with(OWN) {
            let inside = cx.tree.contains(&sys::Pid::from_raw(info.sid as i32));
            let sid = if inside { info.sid } else { 0 };
            all.push(Through { file: tty.id, sid, flags: tty.flags as i32 & !libc::O_ASYNC });
        }
    }
    all.sort_unstable_by_key(|through| through.file);
    Ok(all)
}

/// To be called when all files are open.
pub fn finish(cx: &mut RestoreContext<'_>) -> Result<()> {
    let mut made = std::mem::take(&mut cx.terminals);
    let result = made.finish(&cx.open, cx.files);
    cx.terminals = made;
    result
}
