//! Every feature, its probe, and what follows when it is missing.

use super::Weight::{Experimental, Extra, Needed, Useful};
use super::{Answer, Feature, Weight, files, memory, net, process};

const fn feature(name: &'static str, weight: Weight, probe: fn() -> Answer, consequence: &'static str) -> Feature {
    Feature { name, weight, probe, consequence }
}

/// All features: first what the engine needs, then what single objects need.
pub(super) const FEATURES: &[Feature] = &[
    // the user
    feature("cap_sys_ptrace", Needed, process::cap_sys_ptrace, "other users' tasks cannot be stopped: run as root"),
    feature(
        "cap_checkpoint_restore",
        Needed,
        process::cap_checkpoint_restore,
        "pids, memory maps and executables cannot be restored: run as root",
    ),
    feature(
        "cap_sys_admin",
        Useful,
        process::cap_sys_admin,
        "seccomp filters, page frame numbers (sharing of pages), namespaces and cgroups are out of reach",
    ),
    feature(
        "cap_sys_resource",
        Useful,
        process::cap_sys_resource,
        "hard limits, negative OOM adjustments and pipes beyond pipe-max-size cannot be restored above our own",
    ),
    feature(
        "cap_ids",
        Useful,
        process::cap_ids,
        "only trees that run under our own user and capabilities can be restored (CAP_SETUID, SETGID, SETPCAP)",
    ),
    feature(
        "cap_dac",
        Useful,
        process::cap_dac,
        "files that the tree holds open but that we may not open cannot be restored (CAP_DAC_OVERRIDE, FOWNER, CHOWN)",
    ),
    feature("cap_kill", Useful, process::cap_kill, "other users' trees cannot be killed when they are dumped"),
    feature("cap_sys_nice", Useful, process::cap_sys_nice, "real-time and negative nice priorities cannot be restored"),
    // processes
    feature("ptrace", Needed, process::ptrace, "no task can be stopped: see yama and the container's seccomp filter"),
    feature("ptrace_poke", Needed, process::ptrace_poke, "no system call can be run inside a task"),
    feature("yama", Needed, process::yama, "set kernel.yama.ptrace_scope below 3 (needs a restart when it is 3)"),
    feature("proc_mem", Useful, process::proc_mem, "code is written word by word through ptrace: slower"),
    feature("process_vm_readv", Needed, process::vm_readv, "memory cannot be read: CONFIG_CROSS_MEMORY_ATTACH"),
    feature("peeksiginfo", Needed, process::peeksiginfo, "queued signals cannot be saved"),
    feature("proc_children", Needed, process::children, "the tree cannot be walked: CONFIG_PROC_CHILDREN"),
    feature("ns_pid", Needed, process::nspid, "pids inside of pid namespaces cannot be told"),
    feature("kcmp", Needed, process::kcmp, "what tasks and descriptors share cannot be told: CONFIG_KCMP"),
    feature("pidfd_store", Needed, process::pidfds, "descriptors of other tasks cannot be copied (5.6)"),
    feature("clone3_set_tid", Needed, process::set_tid, "tasks cannot have the pids that they had (5.5)"),
    feature("get_rseq_conf", Needed, process::rseq, "restartable sequences would be lost (5.13)"),
    feature("seccomp_suspend", Useful, process::seccomp_suspend, "tasks under seccomp cannot be dumped"),
    feature("seccomp_filters", Useful, process::seccomp_filters, "tasks with a seccomp filter cannot be dumped"),
    feature(
        "timer_cr_ids",
        Useful,
        process::timer_ids,
        "timer ids are reached by making timers in vain: slower (6.15)",
    ),
    feature(
        "membarrier_registrations",
        Useful,
        process::membarrier_registrations,
        "registrations for memory barriers are tried one by one; those for barriers of all processes are lost (6.3)",
    ),
    feature("can_map_vdso", Useful, process::map_vdso, "a program's own vDSO cannot be asked for at its old place"),
    feature("loginuid", Useful, process::loginuid, "the login user of the tree is that of the engine"),
    feature("compat_cr", Extra, process::compat, "32-bit programs cannot be restored"),
    feature("breakpoints", Extra, process::breakpoints, "hardware breakpoints cannot be used to stop tasks"),
    feature("shadow_stack", Experimental, process::shadow_stack, "there are no shadow stacks here to be refused"),
    feature("kcmp_epoll", Extra, process::kcmp_epoll, "epoll sets with dup'ed or closed descriptors cannot be dumped"),
    // memory
    feature("pr_set_mm", Needed, memory::set_mm, "program bounds cannot be restored: CONFIG_CHECKPOINT_RESTORE"),
    feature("map_files", Needed, memory::map_files, "shared and deleted mappings cannot be reopened"),
    feature("memfd_exec", Useful, memory::memfd_exec, "the seed is an unlinked file instead: see vm.memfd_noexec"),
    feature("pagemap_pfn", Useful, memory::pagemap_pfn, "pages that relatives share are not shared after a restore"),
    feature("pagemap_scan", Useful, memory::pagemap_scan, "pages worth saving are found by the page map: slower (6.7)"),
    feature("pagemap_scan_guard_pages", Extra, memory::scan_guards, "guard regions cannot be told from holes (6.15)"),
    feature("madv_guard", Extra, memory::guard, "guard regions cannot be restored (6.13)"),
    feature(
        "smaps_lock_on_fault",
        Extra,
        memory::smaps_lock_on_fault,
        "areas that are locked as their pages come in are told by a flag without letters",
    ),
    feature("vma_anon_name", Useful, memory::anon_name, "names of anonymous areas are lost: CONFIG_ANON_VMA_NAME"),
    feature("mseal", Experimental, memory::mseal, "there are no sealed areas here to be sealed again (6.10)"),
    feature("mem_dirty_track", Extra, memory::dirty_track, "memory cannot be dumped in rounds (pre-dump)"),
    feature("uffd", Extra, memory::uffd, "lazy pages and programs' own userfaultfds cannot be restored"),
    feature("uffd-noncoop", Extra, memory::uffd_noncoop, "lazy pages fail when the program forks or unmaps"),
    feature("aio_remap", Extra, memory::aio_remap, "asynchronous I/O contexts cannot be restored"),
    feature("memfd_hugetlb", Extra, memory::memfd_hugetlb, "huge page memfds cannot be restored"),
    // files
    feature("mnt_id", Needed, files::mnt_id, "the mount of an open file cannot be told"),
    feature("fdinfo_lock", Useful, files::fdinfo_lock, "file locks cannot be saved"),
    feature("openat2", Needed, files::openat2, "paths of hostile images could lead out of the tree's root (5.6)"),
    feature("close_range", Needed, files::close_range, "tasks cannot drop inherited descriptors (5.9)"),
    feature("timerfd", Extra, files::timerfd, "timer descriptors cannot be restored"),
    feature("cgroup_freezer", Useful, files::cgroup_freezer, "--freeze-cgroup has no cgroup v2 freezer to use"),
    feature("overlayfs_maps", Extra, files::overlayfs_maps, "mapped files of an overlay cannot be told apart"),
    // namespaces and mounts
    feature("userns", Extra, files::userns, "trees in user namespaces cannot be restored"),
    feature("cgroupns", Extra, files::cgroupns, "trees in cgroup namespaces cannot be restored"),
    feature("timens", Extra, files::timens, "monotonic clocks jump when a tree is restored after a boot"),
    feature("move_mount_set_group", Extra, files::set_group, "shared mounts are restored in a certain order only"),
    feature("autofs", Extra, files::autofs, "automounts cannot be restored"),
    feature("apparmor_stacking", Extra, files::apparmor_stacking, "AppArmor namespaces cannot be restored"),
    // network
    feature("tun", Extra, net::tun, "tun and tap devices cannot be restored"),
    feature("tun_ns", Extra, net::tun_ns, "the namespace of a tun device cannot be told"),
    feature("tcp_half_closed", Extra, net::tcp_half_closed, "TCP connections cannot be dumped when half closed"),
    feature("sk_ns", Extra, net::sk_ns, "sockets of other network namespaces cannot be told"),
    feature("sk_unix_file", Extra, net::sk_unix_file, "the mount of a bound unix socket cannot be told"),
    feature("net_diag_raw", Extra, net::diag_raw, "raw sockets cannot be dumped"),
    feature("nsid", Extra, net::nsid, "network namespaces cannot be numbered"),
    feature("link_nsid", Extra, net::link_nsid, "the other end of a veth pair cannot be found"),
    feature("external_net_ns", Extra, net::external_net_ns, "the tree's network namespace cannot be supplied"),
    feature("newifindex", Extra, net::newifindex, "devices cannot be moved with their index"),
    feature("nftables", Extra, net::nftables, "nftables rules cannot be saved"),
    feature("network_lock_nftables", Extra, net::lock_nftables, "the network cannot be locked by nftables"),
    feature("has_ipt_legacy", Extra, net::ipt_legacy, "rules of legacy iptables cannot be saved"),
    feature("sockopt_buf_lock", Extra, net::buf_lock, "fixed sizes of socket buffers are lost"),
    feature("ipv6_freebind", Extra, net::ipv6_freebind, "sockets bound to absent IPv6 addresses cannot be restored"),
];
