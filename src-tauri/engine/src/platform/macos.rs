//! macOS: clocks, identity, signals. Everything that needs `unsafe` is in this file, as small
//! functions with safe faces; the modules below read what these return.
#![allow(unsafe_code, reason = "libproc, sysctl, signals and AppKit have no safe form")]

mod deaths;
mod memory;
mod port;
mod power;
mod process;
mod tray;

use std::ffi::{CStr, OsStr, OsString, c_int, c_void};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::Duration;

use block2::RcBlock;
use doctor::ProcessId;
use objc2::rc::Retained;
use objc2::runtime::{NSObjectProtocol, ProtocolObject};
use objc2_app_kit::{
    NSRunningApplication, NSWorkspace, NSWorkspaceDidWakeNotification,
    NSWorkspaceWillSleepNotification,
};
use objc2_foundation::{NSActivityOptions, NSNotification, NSProcessInfo, NSString};
use tokio::sync::mpsc::Sender;

use super::Power;
use super::signal::{Signal, SignalError, check, refusal};

pub use deaths::Deaths;
pub use memory::{footprint, memory, memory_peak};
pub use port::{is_listening, listener, open_ports};
pub use power::watch_power;
pub(super) use process::{children, identity, is_in_container, parent, processes};
pub use process::{
    environment, is_same, process, unit, usage, variable, working_directory, written_files,
};
pub use tray::has_tray_host;

pub(super) const HAS_LAUNCHD: bool = true;

/// Asks an application to quit (`NSRunningApplication`, `terminate`); false: it is none.
pub(super) fn ask_to_quit(pid: u32) -> bool {
    let application = NSRunningApplication::runningApplicationWithProcessIdentifier;
    application(pid.cast_signed()).is_some_and(|application| application.terminate())
}

/// `sizeof(struct socket_fdinfo)` (XNU `bsd/sys/proc_info.h`).
const SOCKET_FDINFO_SIZE: usize = 792;

/// `sizeof(struct vnode_fdinfowithpath)`: `proc_fileinfo` 24, `vnode_info` 152, a path of 1024 (XNU
/// `bsd/sys/proc_info.h`).
const VNODE_FDINFO_SIZE: usize = 24 + 152 + 1024;

/// `PROC_PIDFDVNODEPATHINFO` (XNU `bsd/sys/proc_info.h`).
const PROC_PIDFDVNODEPATHINFO: c_int = 2;

/// `PROC_PIDFDSOCKETINFO` (XNU `bsd/sys/proc_info.h`).
const PROC_PIDFDSOCKETINFO: c_int = 3;

/// The clock that stops in sleep: `CLOCK_UPTIME_RAW` (`clock_gettime(3)`).
pub fn awake() -> Duration {
    clock(libc::CLOCK_UPTIME_RAW)
}

/// The clock that runs on in sleep: `CLOCK_MONOTONIC_RAW` (`clock_gettime(3)`).
pub fn continuous() -> Duration {
    clock(libc::CLOCK_MONOTONIC_RAW)
}

/// The boot session: sysctl `kern.bootsessionuuid` as a number; 0 if unreadable.
pub fn boot() -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        sysctl_by_name(c"kern.bootsessionuuid").map_or(0, |id| {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            hasher.finish()
        })
    })
}

/// The user that we run as.
pub fn user_id() -> u32 {
    // SAFETY: geteuid takes nothing, touches no memory of ours and cannot fail.
    unsafe { libc::geteuid() }
}

/// This thread gives way to all others, in computing and in reading (`pthread/qos.h`).
pub fn lower_priority() {
    // SAFETY: a plain call with numbers that concerns the calling thread only.
    unsafe {
        libc::pthread_set_qos_class_self_np(libc::qos_class_t::QOS_CLASS_BACKGROUND, 0);
    }
}

/// Gives the command a session of its own when it is started, so that it outlives us and gets no
/// signal that is meant for our terminal or group.
pub fn detach(command: &mut Command) {
    // SAFETY: between fork and exec only setsid runs, which is async-signal-safe (sigaction(2))
    // and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
    }
}

/// Waits for the end of a process that is no child of ours, and gives its status as wait(2) would.
/// kqueue(2) promises `NOTE_EXITSTATUS` of children only; the kernel gives it of every process that
/// we may signal (XNU `bsd/kern/kern_event.c`, `filt_procattach`). None: it cannot be watched, or
/// has ended before.
pub(super) fn wait_status(process: &ProcessId) -> Option<c_int> {
    // SAFETY: kqueue takes nothing and gives a descriptor that is ours alone, or -1.
    let queue = unsafe { libc::kqueue() };
    if queue == -1 {
        return None;
    }
    // SAFETY: it is open, and nobody else closes it.
    let queue = unsafe { OwnedFd::from_raw_fd(queue) };
    let watch = libc::kevent {
        ident: usize::try_from(process.pid).ok()?,
        filter: libc::EVFILT_PROC,
        flags: libc::EV_ADD | libc::EV_ONESHOT,
        fflags: libc::NOTE_EXIT | libc::NOTE_EXITSTATUS,
        data: 0,
        udata: std::ptr::null_mut(),
    };
    let (none, forever) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: one change is read from `watch`, which outlives the call; no event is asked for.
    let added = unsafe { libc::kevent(queue.as_raw_fd(), &raw const watch, 1, none, 0, forever) };
    // Watched first and compared then: the pid may have gone to another in between (R4).
    if added == -1 || !is_same(process) {
        return None;
    }
    let mut told = watch;
    loop {
        // SAFETY: at most one event is written to `told`, which outlives the call.
        let count = unsafe {
            libc::kevent(queue.as_raw_fd(), std::ptr::null(), 0, &raw mut told, 1, forever)
        };
        match count {
            1 => return c_int::try_from(told.data & 0xffff).ok(),
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return None,
        }
    }
}

/// Keeps App Nap and automatic termination away while it is held (R40); idle sleep stays allowed.
#[derive(Debug)]
pub struct Activity(Retained<ProtocolObject<dyn NSObjectProtocol>>);

// SAFETY: the token is opaque, we only hand it back to NSProcessInfo, which is thread-safe
// (NSProcessInfo, "Overview").
unsafe impl Send for Activity {}
// SAFETY: as above; a shared reference gives access to nothing.
unsafe impl Sync for Activity {}

pub fn keep_awake_activity() -> Activity {
    let reason = NSString::from_str("Watching local servers and bringing them back");
    Activity(NSProcessInfo::processInfo().beginActivityWithOptions_reason(
        NSActivityOptions::UserInitiatedAllowingIdleSystemSleep,
        &reason,
    ))
}

impl Drop for Activity {
    fn drop(&mut self) {
        // SAFETY: the token is the one that beginActivity gave, and is ended once.
        unsafe { NSProcessInfo::processInfo().endActivity(&self.0) };
    }
}

/// Sends the signal right after the comparison; macOS has no handle that would close the gap.
pub(super) fn send(target: &ProcessId, signal: Signal) -> Result<(), SignalError> {
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    check(target)?;
    // SAFETY: kill touches no memory of ours; `pid` is above 1 and fits, so that it names one
    // process and no group (both refused before).
    let result = unsafe { libc::kill(target.pid.cast_signed(), number) };
    if result == 0 { Ok(()) } else { Err(refusal(target.pid, io::Error::last_os_error())) }
}

pub(super) fn data_directory(home: &Path, _xdg: Option<OsString>) -> PathBuf {
    home.join("Library/Application Support/Homeostat")
}

pub(super) fn config_directory(home: &Path, xdg: Option<OsString>) -> PathBuf {
    data_directory(home, xdg)
}

/// Registers with `NSWorkspace`'s own centre; the default centre never posts these (R41). The
/// observers stay for the life of the process.
fn observe_power(news: &Sender<Power>) {
    let centre = NSWorkspace::sharedWorkspace().notificationCenter();
    // SAFETY: both are constant strings that AppKit defines for the life of the process.
    let names = unsafe {
        [
            (NSWorkspaceWillSleepNotification, Power::WillSleep),
            (NSWorkspaceDidWakeNotification, Power::Woke),
        ]
    };
    for (name, power) in names {
        let news = news.clone();
        let block = RcBlock::new(move |_: NonNull<NSNotification>| {
            // A full queue holds older news of the same kind; the clocks tell the rest.
            let _ = news.try_send(power);
        });
        // SAFETY: no object is given; without a queue the block runs on the posting thread, and
        // it holds only a sender, which may be used on any thread.
        let token = unsafe {
            centre.addObserverForName_object_queue_usingBlock(Some(name), None, None, &block)
        };
        // Dropping the token could end the observation.
        std::mem::forget(token);
    }
}

/// The value of a sysctl by its name.
fn sysctl_by_name(name: &CStr) -> Option<Vec<u8>> {
    let mut size = 0;
    // SAFETY: the name ends with NUL; without a buffer only the size is written.
    let asked = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            std::ptr::null_mut(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    if asked != 0 {
        return None;
    }
    let mut value = vec![0_u8; size];
    // SAFETY: `value` has `size` bytes and the kernel writes at most as many.
    let read = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    value.truncate(size);
    (read == 0).then_some(value)
}

/// The value of a sysctl by its numbers. Tables grow while they are read, so the buffer is made
/// larger than asked for.
fn sysctl(numbers: &[c_int]) -> Option<Vec<u8>> {
    let mut numbers = numbers.to_vec();
    let count = u32::try_from(numbers.len()).ok()?;
    let mut size = 0;
    // SAFETY: `numbers` holds `count` numbers; without a buffer only the size is written.
    let asked = unsafe {
        libc::sysctl(
            numbers.as_mut_ptr(),
            count,
            std::ptr::null_mut(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    if asked != 0 {
        return None;
    }
    size += size / 8;
    let mut value = vec![0_u8; size];
    // SAFETY: `value` has `size` bytes and the kernel writes at most as many.
    let read = unsafe {
        libc::sysctl(
            numbers.as_mut_ptr(),
            count,
            value.as_mut_ptr().cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    value.truncate(size);
    (read == 0).then_some(value)
}

/// The absolute path of a process's executable (libproc.h).
fn executable_path(pid: u32) -> Option<String> {
    let mut path = [0_u8; 4096];
    // SAFETY: the buffer has PROC_PIDPATHINFO_MAXSIZE bytes, which is what is passed.
    let length =
        unsafe { libc::proc_pidpath(c_int::try_from(pid).ok()?, path.as_mut_ptr().cast(), 4096) };
    let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
    Some(String::from_utf8_lossy(path.get(..length)?).into_owned())
}

/// Numbers of the sockets that a process of ours holds; empty for another user's.
fn socket_descriptors(pid: u32) -> Vec<c_int> {
    let Ok(pid) = c_int::try_from(pid) else { return Vec::new() };
    let ask = |buffer: *mut c_void, bytes: c_int| {
        // SAFETY: the kernel writes at most `bytes` bytes to `buffer`, which has as many; with a
        // null buffer it only tells how many it would take (libproc.h).
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDLISTFDS, 0, buffer, bytes) }
    };
    let one = size_of::<libc::proc_fdinfo>();
    let Ok(bytes) = usize::try_from(ask(std::ptr::null_mut(), 0)) else { return Vec::new() };
    let mut found: Vec<libc::proc_fdinfo> = Vec::with_capacity(bytes / one + 16);
    let Ok(room) = c_int::try_from(found.capacity() * one) else { return Vec::new() };
    let Ok(written) = usize::try_from(ask(found.as_mut_ptr().cast(), room)) else {
        return Vec::new();
    };
    // SAFETY: the kernel has filled so many whole entries, within the capacity.
    unsafe { found.set_len((written / one).min(found.capacity())) };
    found
        .iter()
        .filter(|entry| i64::from(entry.proc_fdtype) == i64::from(libc::PROX_FDTYPE_SOCKET))
        .map(|entry| entry.proc_fd)
        .collect()
}

/// The `socket_fdinfo` of one descriptor as it lies in memory.
fn socket_information(pid: u32, descriptor: c_int) -> Option<[u8; SOCKET_FDINFO_SIZE]> {
    let mut bytes = [0_u8; SOCKET_FDINFO_SIZE];
    let room = c_int::try_from(SOCKET_FDINFO_SIZE).ok()?;
    // SAFETY: the kernel writes at most `room` bytes, which the buffer has.
    let written = unsafe {
        libc::proc_pidfdinfo(
            c_int::try_from(pid).ok()?,
            descriptor,
            PROC_PIDFDSOCKETINFO,
            bytes.as_mut_ptr().cast(),
            room,
        )
    };
    (written == room).then_some(bytes)
}

/// `ri_phys_footprint` in bytes (XNU bsd/sys/resource.h); none for another user's process.
fn physical_footprint(pid: u32) -> Option<u64> {
    resource_usage(pid).map(|usage| usage.ri_phys_footprint)
}

/// The path of the file behind a descriptor of a process of ours.
fn descriptor_path(pid: u32, descriptor: c_int) -> Option<PathBuf> {
    let mut bytes = [0_u8; VNODE_FDINFO_SIZE];
    let room = c_int::try_from(VNODE_FDINFO_SIZE).ok()?;
    // SAFETY: the kernel writes at most `room` bytes, which the buffer has.
    let written = unsafe {
        libc::proc_pidfdinfo(
            c_int::try_from(pid).ok()?,
            descriptor,
            PROC_PIDFDVNODEPATHINFO,
            bytes.as_mut_ptr().cast(),
            room,
        )
    };
    let path = bytes.get(24 + 152..).filter(|_| written == room)?;
    let length = path.iter().position(|byte| *byte == 0).filter(|length| *length > 0)?;
    Some(PathBuf::from(String::from_utf8_lossy(path.get(..length)?).into_owned()))
}

/// What it has used (XNU bsd/sys/resource.h); none for another user's process.
fn resource_usage(pid: u32) -> Option<libc::rusage_info_v4> {
    let mut usage = MaybeUninit::<libc::rusage_info_v4>::zeroed();
    // SAFETY: flavour V4 fills a rusage_info_v4, which `usage` is; the parameter's pointer type is
    // a quirk of the header (libproc.h).
    let result = unsafe {
        libc::proc_pid_rusage(
            c_int::try_from(pid).ok()?,
            libc::RUSAGE_INFO_V4,
            usage.as_mut_ptr().cast(),
        )
    };
    // SAFETY: it is plain numbers, for which zeroes are valid too.
    (result == 0).then(|| unsafe { usage.assume_init() })
}

/// Nanoseconds of so many ticks of `mach_absolute_time`, in which the times of [`resource_usage`]
/// are counted: 1:1 on Intel, 125:3 on Apple silicon (XNU osfmk/kern/bsd_kern.c
/// `fill_task_rusage`, `absolutetime_to_nanoseconds` is left to the caller).
fn nanoseconds(ticks: u64) -> u64 {
    static RATIO: OnceLock<(u32, u32)> = OnceLock::new();
    let (numerator, denominator) = *RATIO.get_or_init(|| {
        #[allow(deprecated, reason = "libc would rather see the mach2 crate used for two calls")]
        let mut ratio = libc::mach_timebase_info { numer: 0, denom: 0 };
        #[allow(deprecated, reason = "libc would rather see the mach2 crate used for two calls")]
        // SAFETY: it fills the struct that it is given and touches nothing else.
        let result = unsafe { libc::mach_timebase_info(&raw mut ratio) };
        if result == libc::KERN_SUCCESS { (ratio.numer, ratio.denom.max(1)) } else { (1, 1) }
    });
    let whole = u128::from(ticks) * u128::from(numerator) / u128::from(denominator);
    u64::try_from(whole).unwrap_or(u64::MAX)
}

/// Pages that are free and inactive (`mach/vm_statistics.h`).
fn available_pages() -> Option<u64> {
    #[allow(deprecated, reason = "libc would rather see the mach2 crate used for two calls")]
    // SAFETY: it takes nothing; the right is kept for the life of the process, so that it is asked
    // for once only.
    let host = {
        static HOST: OnceLock<libc::mach_port_t> = OnceLock::new();
        *HOST.get_or_init(|| unsafe { libc::mach_host_self() })
    };
    let mut found = MaybeUninit::<libc::vm_statistics64>::zeroed();
    let mut count = libc::HOST_VM_INFO64_COUNT;
    // SAFETY: `count` says how many integers `found` has room for, and no more are written.
    let result = unsafe {
        libc::host_statistics64(
            host,
            libc::HOST_VM_INFO64,
            found.as_mut_ptr().cast(),
            &raw mut count,
        )
    };
    if result != libc::KERN_SUCCESS {
        return None;
    }
    // SAFETY: it is plain numbers, for which zeroes are valid too.
    let found = unsafe { found.assume_init() };
    Some(u64::from(found.free_count) + u64::from(found.inactive_count))
}

/// The login name of a user, as the user database tells it.
fn user_name(uid: u32) -> Option<String> {
    user(uid).map(|(name, _)| name)
}

/// The home directory of a user, as the user database tells it.
pub fn user_home(uid: u32) -> Option<PathBuf> {
    user(uid).map(|(_, home)| home).filter(|home| home.is_absolute())
}

fn user(uid: u32) -> Option<(String, PathBuf)> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut text = [0_u8; 4096];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are to live memory of the size that is passed, and `text` outlives the
    // entry that points into it.
    let result = unsafe {
        libc::getpwuid_r(
            uid,
            entry.as_mut_ptr(),
            text.as_mut_ptr().cast(),
            text.len(),
            &raw mut found,
        )
    };
    if result != 0 || found.is_null() {
        return None;
    }
    // SAFETY: on success `found` points to `entry`, now filled, whose pw_name and pw_dir are strings
    // that end with NUL inside `text` (getpwuid_r(3)).
    let (name, home) =
        unsafe { (CStr::from_ptr((*found).pw_name), CStr::from_ptr((*found).pw_dir)) };
    Some((name.to_string_lossy().into_owned(), PathBuf::from(OsStr::from_bytes(home.to_bytes()))))
}

fn clock(which: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec; both clocks exist since macOS 10.12, and on a failure it
    // stays zero.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
