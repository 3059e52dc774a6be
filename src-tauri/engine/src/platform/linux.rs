//! Linux: clocks, identity, signals. The calls that need `unsafe` are in this file, what only reads
//! `/proc` in the modules below.
#![allow(unsafe_code, reason = "clocks, signals and setsid are system calls without a safe form")]

mod deaths;
mod memory;
mod port;
mod power;
mod process;
mod sock_diag;
mod tray;

use std::ffi::{CStr, OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use doctor::ProcessId;

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

pub(super) const HAS_LAUNCHD: bool = false;

/// There are no application bundles.
pub(super) fn ask_to_quit(_pid: u32) -> bool {
    false
}

/// The clock that stops in sleep: `CLOCK_MONOTONIC` (`clock_gettime(2)`).
pub fn awake() -> Duration {
    clock(libc::CLOCK_MONOTONIC)
}

/// The clock that runs on in sleep: `CLOCK_BOOTTIME` (`clock_gettime(2)`).
pub fn continuous() -> Duration {
    clock(libc::CLOCK_BOOTTIME)
}

/// The boot session: `/proc/sys/kernel/random/boot_id` (random(4)) as a number; 0 if unreadable.
pub fn boot() -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or(0, |id| {
            let mut hasher = DefaultHasher::new();
            id.trim().hash(&mut hasher);
            hasher.finish()
        })
    })
}

/// None: a process that is no child of ours tells that it has ended, and not how (`pidfd_open(2)`,
/// `waitid(2)`).
pub(super) fn wait_status(_process: &ProcessId) -> Option<i32> {
    None
}

/// The user that we run as.
pub fn user_id() -> u32 {
    // SAFETY: geteuid takes nothing, touches no memory of ours and cannot fail.
    unsafe { libc::geteuid() }
}

/// This thread gives way to all others, in computing and in reading (`setpriority(2)`, `ioprio_set(2)`).
pub fn lower_priority() {
    const IDLE_CLASS: libc::c_int = 3 << 13;
    // SAFETY: plain calls with numbers; 0 is the calling thread for both.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
        libc::syscall(libc::SYS_ioprio_set, 1, 0, IDLE_CLASS);
    }
}

/// Gives the command a session of its own when it is started, so that it outlives us and gets no
/// signal that is meant for our terminal or group.
pub fn detach(command: &mut Command) {
    // SAFETY: between fork and exec only setsid runs, which is async-signal-safe
    // (signal-safety(7)) and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
    }
}

/// Keeps the system from throttling us while it is held. Linux does not do that by itself.
#[derive(Debug)]
pub struct Activity(());

pub fn keep_awake_activity() -> Activity {
    Activity(())
}

/// Sends the signal through a pidfd: opened first and compared after, it can only reach the
/// process that was compared (`pidfd_open(2)`, since Linux 5.3).
pub(super) fn send(target: &ProcessId, signal: Signal) -> Result<(), SignalError> {
    let pid = target.pid;
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    let handle = match open_pidfd(pid) {
        Ok(handle) => Some(handle),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
            return Err(SignalError::Gone { pid });
        }
        // An older kernel or a sandbox without the call: the check before kill has to do.
        Err(_) => None,
    };
    check(target)?;
    let result = match handle {
        // SAFETY: the descriptor is open for as long as `handle` lives, a null siginfo means
        // "as kill would fill it" (pidfd_send_signal(2)), and flags are 0 as required.
        Some(handle) => unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                handle.as_raw_fd(),
                number,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        },
        // SAFETY: kill touches no memory of ours; `pid` is above 1 and fits, so that it names one
        // process and no group (both refused before).
        None => i64::from(unsafe { libc::kill(pid.cast_signed(), number) }),
    };
    if result == 0 { Ok(()) } else { Err(refusal(pid, io::Error::last_os_error())) }
}

pub(super) fn data_directory(home: &Path, xdg: Option<OsString>) -> PathBuf {
    base(xdg).unwrap_or_else(|| home.join(".local/share")).join("homeostat")
}

pub(super) fn config_directory(home: &Path, xdg: Option<OsString>) -> PathBuf {
    base(xdg).unwrap_or_else(|| home.join(".config")).join("homeostat")
}

/// A relative path is to be ignored (XDG Base Directory Specification).
fn base(xdg: Option<OsString>) -> Option<PathBuf> {
    xdg.map(PathBuf::from).filter(|path| path.is_absolute())
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
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
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

/// Clock ticks per second in `/proc/PID/stat`; 100 on every Linux that is built today.
fn ticks_per_second() -> u64 {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}

/// Bytes in a page of memory.
fn page_size() -> u64 {
    // SAFETY: as above.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).unwrap_or(4096)
}

fn clock(which: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec; both clocks exist on every supported kernel, and on a
    // failure it stays zero.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers and touches no memory of ours.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match i32::try_from(descriptor) {
        // SAFETY: the kernel has just made this descriptor for us and nobody else owns it.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{config_directory, data_directory, user_name};

    #[test]
    fn directories_follow_xdg_and_ignore_relative_ones() {
        let home = Path::new("/home/a");
        assert_eq!(data_directory(home, None), Path::new("/home/a/.local/share/homeostat"));
        assert_eq!(data_directory(home, Some("/d".into())), Path::new("/d/homeostat"));
        assert_eq!(
            data_directory(home, Some("d".into())),
            Path::new("/home/a/.local/share/homeostat")
        );
        assert_eq!(config_directory(home, None), Path::new("/home/a/.config/homeostat"));
    }

    #[test]
    fn user_names() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(user_name(3_999_999_999), None);
    }
}
