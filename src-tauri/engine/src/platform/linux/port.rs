//! Who listens on a TCP port: the kernel's list of sockets gives the socket, `/proc/PID/fd` its holder.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use doctor::{Listener, OpenPort, ProcessSeen};

use super::super::socket::{eldest, rank};
use super::process::{pids, process};
use super::sock_diag;

/// `TCP_LISTEN` (Linux `include/net/tcp_states.h`).
const LISTEN: &str = "0A";

/// How much of one table is read: some 100,000 connections.
const CAP: u64 = 16 * 1024 * 1024;

/// Who listens on this TCP port, on whatever address. Where several do, the one that a connection
/// to 127.0.0.1 reaches. Where several processes share the socket, the one that opened it.
pub fn listener(port: u16) -> Listener {
    // Looked up again when nobody is found: the socket may have been closed in between.
    for _ in 0..2 {
        let Some(inode) = sockets(port).into_iter().min().map(|(_, inode)| inode) else {
            return Listener::Nobody;
        };
        if let Some(holder) = eldest(holders(inode)) {
            return Listener::Process(holder);
        }
    }
    Listener::Hidden
}

/// Whether anybody listens on this TCP port. Cheaper than [`listener`].
pub fn is_listening(port: u16) -> bool {
    !sockets(port).is_empty()
}

/// What is listened on in the network of this first process of a container (`proc_pid_net(5)`). None: the
/// process is no member of it (the engine counts its processes in another machine), or is not shown.
pub fn open_ports(pid: u32, container: &str) -> Option<Vec<OpenPort>> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    if !groups.contains(container) {
        return None;
    }
    let mut found = Vec::new();
    for (table, is_needed) in [("tcp", true), ("tcp6", false)] {
        // A kernel without IPv6 has no tcp6.
        let file = match File::open(format!("/proc/{pid}/net/{table}")) {
            Ok(file) => file,
            Err(_) if is_needed => return None,
            Err(_) => continue,
        };
        let lines = BufReader::new(file.take(CAP)).lines().map_while(Result::ok).skip(1);
        found.extend(lines.filter_map(|line| open_port(&line)));
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// A row of the table, if it is a listening socket; Docker's own resolver is none of the container's
/// (moby libnetwork `sandbox_dns_unix.go`, `resolverIPSandbox`).
fn open_port(line: &str) -> Option<OpenPort> {
    const RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
    let (address, port, _) = listening_socket(line)?;
    let inside_only = address.is_loopback();
    (address != RESOLVER).then_some(OpenPort { port, inside_only })
}

/// Every listening socket on the port as (rank of its address, inode).
fn sockets(port: u16) -> Vec<(u8, u64)> {
    match sock_diag::listening(port) {
        Some(found) => found.into_iter().map(|(address, inode)| (rank(address), inode)).collect(),
        None => rows(port),
    }
}

/// The same from `/proc/net/tcp{,6}`, for a kernel that has no other list.
fn rows(port: u16) -> Vec<(u8, u64)> {
    let mut found = Vec::new();
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        // A kernel without IPv6 has no tcp6.
        let Ok(file) = File::open(table) else { continue };
        let lines = BufReader::new(file.take(CAP)).lines().map_while(Result::ok).skip(1);
        found.extend(lines.filter_map(|line| listening_row(&line, port)));
    }
    found
}

/// A row of the table, if it is a listening socket on this port.
fn listening_row(line: &str, port: u16) -> Option<(u8, u64)> {
    let (address, row_port, inode) = listening_socket(line)?;
    (row_port == port).then(|| (rank(address), inode))
}

/// Address, port and inode of a row of the table, if it is a listening socket.
fn listening_socket(line: &str) -> Option<(IpAddr, u16, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let (address, row_port) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    if state != LISTEN {
        return None;
    }
    Some((parse_address(address)?, u16::from_str_radix(row_port, 16).ok()?, inode))
}

/// Groups of 8 hex digits, each a 32-bit word as it lies in memory.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let words: Vec<[u8; 4]> = hex
        .as_bytes()
        .chunks(8)
        .map(|word| {
            let text = str::from_utf8(word).ok()?;
            u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes)
        })
        .collect::<Option<_>>()?;
    match *words {
        [word] => Some(IpAddr::V4(Ipv4Addr::from(word))),
        [_, _, _, _] => {
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        [..] => None,
    }
}

/// Everyone who holds the socket.
fn holders(inode: u64) -> Vec<ProcessSeen> {
    let link = format!("socket:[{inode}]");
    pids()
        .filter(|pid| {
            // The descriptors of another user's process are not shown to us.
            fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().any(|entry| {
                entry.is_ok_and(|entry| {
                    fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == &*link)
                })
            })
        })
        .filter_map(process)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use doctor::{Listener, OpenPort};

    use super::{
        is_listening, listener, listening_row, open_port, open_ports, parse_address, rank, rows,
        sockets,
    };

    #[test]
    fn our_own_listener_is_found_on_each_address_and_gone_when_closed() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let socket = TcpListener::bind(address).unwrap();
            let port = socket.local_addr().unwrap().port();
            let Listener::Process(found) = listener(port) else { panic!("nobody on {address}") };
            assert_eq!(found.id.pid, std::process::id());
            assert_eq!(
                found.id.executable,
                std::env::current_exe().unwrap().to_string_lossy().into_owned()
            );
            assert!(is_listening(port));
            assert_eq!(rows(port), sockets(port), "both lists agree");
            drop(socket);
            // A child forked by another test holds the socket until it has become its program.
            let deadline = Instant::now() + Duration::from_secs(20);
            while is_listening(port) {
                assert!(Instant::now() < deadline, "still listening on {address}");
                std::thread::yield_now();
            }
            assert_eq!(listener(port), Listener::Nobody, "{address}");
        }
    }

    #[test]
    fn a_connection_is_not_a_listener() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        assert_eq!(listener(client.local_addr().unwrap().port()), Listener::Nobody);
    }

    #[test]
    fn one_row() {
        let row = "   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0";
        assert_eq!(listening_row(row, 11434), Some((0, 12345)));
        assert_eq!(listening_row(row, 11435), None);
        assert_eq!(listening_row(&row.replace(" 0A ", " 01 "), 11434), None);
        assert_eq!(listening_row("", 11434), None);
        assert_eq!(listening_row("a b c d e f g h i j", 11434), None);
    }

    #[test]
    fn what_is_open_is_told_by_where_it_is_reached() {
        let row = |address: &str| {
            open_port(&format!("0: {address} 00000000:0000 0A 0:0 0:0 0 1000 0 12345 1 0 100 0"))
        };
        let open = |port, inside_only| Some(OpenPort { port, inside_only });
        assert_eq!(row("00000000:1F40"), open(8000, false));
        assert_eq!(row("0100007F:1F40"), open(8000, true));
        assert_eq!(row("00000000000000000000000001000000:1F40"), open(8000, true));
        assert_eq!(row("0B00007F:A1B2"), None, "Docker's resolver");
        let own = std::process::id();
        assert_eq!(open_ports(own, "no container has this id"), None);
    }

    #[test]
    fn addresses() {
        let rank_of = |hex| parse_address(hex).map(rank);
        assert_eq!(rank_of("0100007F"), Some(0));
        assert_eq!(rank_of("0000000000000000FFFF00000100007F"), Some(0));
        assert_eq!(rank_of("00000000"), Some(1));
        assert_eq!(rank_of("00000000000000000000000000000000"), Some(1));
        assert_eq!(rank_of("00000000000000000000000001000000"), Some(2));
        assert_eq!(rank_of("0101A8C0"), Some(3));
        assert_eq!(rank_of("zz"), None);
        assert_eq!(rank_of(""), None);
    }
}
