//! The kernel's list of listening TCP sockets, asked for as `ss` does (`sock_diag(7)`): only those that
//! listen on one port are walked, where `/proc/net/tcp` walks every connection's bucket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

/// Linux `include/uapi/linux/sock_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Linux `include/uapi/linux/netlink.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x1 | 0x300;
/// `1 << TCP_LISTEN` (Linux `include/net/tcp_states.h`).
const LISTEN: u32 = 1 << 10;

const HEADER: usize = 16;
/// `struct inet_diag_req_v2` and `struct inet_diag_msg` (Linux `include/uapi/linux/inet_diag.h`).
const REQUEST: usize = 56;
const MESSAGE: usize = 72;

/// How many answers are read at most; each carries up to some 300 sockets.
const ANSWERS: usize = 64;

/// The address and inode of each socket that listens on the port; `None` where the kernel has no such
/// list (`CONFIG_INET_DIAG`, or a sandbox that forbids it).
pub(super) fn listening(port: u16) -> Option<Vec<(IpAddr, u64)>> {
    let mut found = family(AddressFamily::INET, port)?;
    // A kernel without IPv6 has no such family.
    found.extend(family(AddressFamily::INET6, port).unwrap_or_default());
    Some(found)
}

fn family(family: AddressFamily, port: u16) -> Option<Vec<(IpAddr, u64)>> {
    let flags = SocketFlags::CLOEXEC;
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG)).ok()?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &request(family, port), SendFlags::empty(), &kernel).ok()?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    for _ in 0..ANSWERS {
        // The kernel's answer is there when the request has been taken: nothing is waited for.
        let length = loop {
            match recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Err(Errno::INTR) => {}
                answer => break answer.ok()?.0,
            }
        };
        if read(buffer.get(..length)?, port, &mut found)? {
            return Some(found);
        }
    }
    None
}

fn request(family: AddressFamily, port: u16) -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + REQUEST);
    request.extend(u32::try_from(HEADER + REQUEST).unwrap_or_default().to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    // Sequence number and sender.
    request.extend([0; 8]);
    let tcp = 6;
    request.extend([u8::try_from(family.as_raw()).unwrap_or_default(), tcp, 0, 0]);
    request.extend(LISTEN.to_ne_bytes());
    request.extend(port.to_be_bytes());
    request.resize(HEADER + REQUEST, 0);
    request
}

/// Takes the sockets out of one answer; whether it was the last. `None` for an error of the kernel's
/// or an answer cut off.
fn read(mut answer: &[u8], port: u16, found: &mut Vec<(IpAddr, u64)>) -> Option<bool> {
    while !answer.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(bytes(answer, 0)?)).ok()?;
        let message = answer.get(HEADER..length)?;
        match u16::from_ne_bytes(bytes(answer, 4)?) {
            NLMSG_DONE => return Some(true),
            NLMSG_ERROR => return None,
            SOCK_DIAG_BY_FAMILY => found.extend(socket(message.get(..MESSAGE)?, port)),
            _ => {}
        }
        // Each message begins at a multiple of four.
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(false)
}

fn socket(message: &[u8], port: u16) -> Option<(IpAddr, u64)> {
    // A kernel that does not filter by port gives them all.
    (u16::from_be_bytes(bytes(message, 4)?) == port).then_some(())?;
    let address = match AddressFamily::from_raw(u16::from(*message.first()?)) {
        AddressFamily::INET => IpAddr::V4(Ipv4Addr::from(bytes::<4>(message, 8)?)),
        _ => Ipv6Addr::from(bytes::<16>(message, 8)?).to_canonical(),
    };
    Some((address, u64::from(u32::from_ne_bytes(bytes(message, MESSAGE - 4)?))))
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};

    use super::{listening, read};

    #[test]
    fn only_who_listens_on_the_port_is_given() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let client = TcpStream::connect(first.local_addr().unwrap()).unwrap();
        let second = TcpListener::bind(("::1", port)).unwrap();
        // A kernel without this list: the table in /proc is read instead, and has its own tests.
        let Some(found) = listening(port) else { return };
        let addresses: Vec<_> = found.iter().map(|(address, _)| *address).collect();
        assert_eq!(addresses, [IpAddr::V4(Ipv4Addr::LOCALHOST), "::1".parse().unwrap()]);
        assert!(found.iter().all(|(_, inode)| *inode > 0));
        assert_ne!(found[0].1, found[1].1);
        drop(second);
        assert_eq!(listening(client.local_addr().unwrap().port()), Some(Vec::new()));
    }

    #[test]
    fn an_answer_that_is_cut_off_or_an_error_is_none() {
        let mut error = vec![20, 0, 0, 0, 2, 0, 0, 0];
        error.resize(20, 0);
        assert_eq!(read(&error, 1, &mut Vec::new()), None);
        assert_eq!(read(&error[..7], 1, &mut Vec::new()), None);
        assert_eq!(read(&[255; 30], 1, &mut Vec::new()), None);
        assert_eq!(read(&[0; 30], 1, &mut Vec::new()), None, "a length of nothing never ends");
        let mut done = vec![20, 0, 0, 0, 3, 0, 0, 0];
        done.resize(20, 0);
        assert_eq!(read(&done, 1, &mut Vec::new()), Some(true));
        assert_eq!(read(&[], 1, &mut Vec::new()), Some(false));
    }
}
