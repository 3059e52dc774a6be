//! Which of several listening sockets, and which of several holders of one, is meant.

use std::net::{IpAddr, Ipv4Addr};

use doctor::ProcessSeen;

/// Order in which addresses catch a connection to 127.0.0.1, the first first: the kernel prefers
/// the exact address to any.
pub(super) fn rank(address: IpAddr) -> u8 {
    if address == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        0
    } else if address.is_unspecified() {
        1
    } else if address.is_loopback() {
        2
    } else {
        3
    }
}

/// Who opened a socket that several hold: the one whose parent does not hold it too; of several
/// such the oldest.
pub(super) fn eldest(holders: Vec<ProcessSeen>) -> Option<ProcessSeen> {
    let pids: Vec<u32> = holders.iter().map(|holder| holder.id.pid).collect();
    holders.into_iter().min_by_key(|holder| {
        let inherited = holder.parent.is_some_and(|parent| pids.contains(&parent));
        (inherited, holder.id.started)
    })
}
