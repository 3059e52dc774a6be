//! Who listens on a TCP port, among the processes of this user: nobody else's sockets are shown
//! without root (FACTS D.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use doctor::{Listener, OpenPort, ProcessSeen};

use super::super::socket::{eldest, rank};
use super::process::{pids, process};
use super::{SOCKET_FDINFO_SIZE, socket_descriptors, socket_information};

/// `SOCKINFO_TCP`, `TSI_S_LISTEN`, `INI_IPV4` (XNU `bsd/sys/proc_info.h`).
const SOCKINFO_TCP: u32 = 2;
const TSI_S_LISTEN: u32 = 1;
const INI_IPV4: u8 = 1;

/// Loopback answers in microseconds; a listener with a full queue does not answer at all.
const DEADLINE: Duration = Duration::from_millis(200);

/// None: containers run in a machine of their own, whose sockets are not told here.
pub fn open_ports(_pid: u32, _container: &str) -> Option<Vec<OpenPort>> {
    None
}

/// Who listens on this TCP port, on whatever address. Where several do, the one that a connection
/// to 127.0.0.1 reaches. Where several processes share the socket, the one that opened it.
/// [`Listener::Nobody`] where a connection is accepted means: another user's process.
pub fn listener(port: u16) -> Listener {
    let found: Vec<(u8, u32)> = pids()
        .into_iter()
        .filter_map(|pid| Some((listening_ranks(pid, port).min()?, pid)))
        .collect();
    let best = found.iter().map(|(rank, _)| *rank).min();
    let holders: Vec<ProcessSeen> = found
        .into_iter()
        .filter(|(rank, _)| Some(*rank) == best)
        .filter_map(|(_, pid)| process(pid))
        .collect();
    eldest(holders).map_or(Listener::Nobody, Listener::Process)
}

/// Whether anybody listens on this TCP port of a loopback address, another user too: told by
/// connecting. Takes at most 0.4 s.
pub fn is_listening(port: u16) -> bool {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].into_iter().any(|address| {
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), DEADLINE) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::TimedOut,
        }
    })
}

fn listening_ranks(pid: u32, port: u16) -> impl Iterator<Item = u8> {
    socket_descriptors(pid)
        .into_iter()
        .filter_map(move |descriptor| listening_rank(&socket_information(pid, descriptor)?, port))
}

/// The rank of the address, if it is a listening socket on this port. Offsets in `socket_fdinfo`:
/// `soi_kind` 256, `insi_lport` 268 (network order), `insi_vflag` 288, `insi_laddr` 312 (an IPv4
/// address in its last four bytes), `tcpsi_state` 344.
fn listening_rank(bytes: &[u8; SOCKET_FDINFO_SIZE], port: u16) -> Option<u8> {
    let number = |at: usize| -> Option<u32> {
        Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    if number(256)? != SOCKINFO_TCP || number(344)? != TSI_S_LISTEN {
        return None;
    }
    if u16::from_be_bytes(bytes.get(268..270)?.try_into().ok()?) != port {
        return None;
    }
    let local: [u8; 16] = bytes.get(312..328)?.try_into().ok()?;
    let address = if *bytes.get(288)? & INI_IPV4 != 0 {
        let [.., a, b, c, d] = local;
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    } else {
        Ipv6Addr::from(local).to_canonical()
    };
    Some(rank(address))
}
