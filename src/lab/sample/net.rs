//! TCP connections and network traffic of a process, as far as the kernel tells them apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::process::Roots;

/// States of `/proc/net/tcp` (include/net/tcp_states.h of Linux).
const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";

/// A line of `/proc/PID/net/tcp`.
struct Socket<'a> {
    /// Its address and that of the other end.
    ends: (&'a str, &'a str),
    local_port: u16,
    state: &'a str,
    inode: &'a str,
}

impl<'a> Socket<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let ends = (fields.nth(1)?, fields.next()?);
        let (_, port) = ends.0.rsplit_once(':')?;
        let local_port = u16::from_str_radix(port, 16).ok()?;
        let state = fields.next()?;
        Some(Self { ends, local_port, state, inode: fields.nth(5)? })
    }
}

/// Bytes of all network devices of a process but the loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

impl Roots {
    fn tcp_tables(&self, pid: impl std::fmt::Display) -> Option<String> {
        let four = self.read(&pid, "net/tcp");
        let six = self.read(&pid, "net/tcp6");
        (four.is_some() || six.is_some())
            .then(|| four.unwrap_or_default() + &six.unwrap_or_default())
    }

    /// Established connections of a listening port in the network of a process (`self` for ours):
    /// the server's ends only. `None` where nobody listens there, or it cannot be seen.
    pub fn connections(&self, pid: impl std::fmt::Display, port: u16) -> Option<u64> {
        let text = self.tcp_tables(pid)?;
        let sockets = || text.lines().filter_map(Socket::parse).filter(|s| s.local_port == port);
        sockets().any(|socket| socket.state == LISTEN).then_some(())?;
        // The kernel may tell of one twice when others come and go while its table is read.
        let established = sockets().filter(|socket| socket.state == ESTABLISHED);
        Some(established.map(|socket| socket.ends).collect::<BTreeSet<_>>().len() as u64)
    }

    /// Whether it is this process that listens on a port.
    pub fn listens(&self, pid: u32, port: u16) -> bool {
        let Some(text) = self.tcp_tables(pid) else { return false };
        let listening = text
            .lines()
            .filter_map(Socket::parse)
            .filter(|socket| socket.local_port == port && socket.state == LISTEN);
        let names: Vec<PathBuf> =
            listening.map(|socket| format!("socket:[{}]", socket.inode).into()).collect();
        let files = std::fs::read_dir(self.proc.join(pid.to_string()).join("fd"));
        let mut targets = files.into_iter().flatten().flatten();
        targets.any(|file| std::fs::read_link(file.path()).is_ok_and(|name| names.contains(&name)))
    }

    /// The process that answers at this address, as far as it is visible: in our network, or in one that has
    /// the address, as that of a container has.
    pub fn listener(&self, address: SocketAddr) -> Option<u32> {
        let ip = address.ip().to_canonical();
        let answers = |pid: &u32| match ip.is_loopback() {
            true => !self.has_own_network(*pid),
            false => self.has_address(*pid, ip),
        };
        let all = self.all().into_iter();
        all.filter(|pid| self.listens(*pid, address.port())).find(answers)
    }

    /// Whether an IPv4 address is one of those of a process's network. The kernel lists them as leaves of a
    /// tree, the address on one line and what it is on the next.
    fn has_address(&self, pid: u32, ip: IpAddr) -> bool {
        let text = self.read(pid, "net/fib_trie").unwrap_or_default();
        let leaf = format!("|-- {ip}");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        lines.windows(2).any(|pair| pair == [&*leaf, "/32 host LOCAL"])
    }

    /// Whether a process has a network of its own, as in a container.
    pub fn has_own_network(&self, pid: u32) -> bool {
        let network = |pid: &str| std::fs::read_link(self.proc.join(pid).join("ns/net")).ok();
        let (its, ours) = (network(&pid.to_string()), network("self"));
        its.is_some() && ours.is_some() && its != ours
    }

    /// Traffic of a process with a network of its own; `None` where it shares ours.
    pub fn traffic(&self, pid: u32) -> Option<Traffic> {
        if !self.has_own_network(pid) {
            return None;
        }
        let text = self.read(pid, "net/dev")?;
        let devices = text.lines().filter_map(|line| {
            let (name, counts) = line.split_once(':')?;
            let counts: Vec<u64> = counts.split_whitespace().flat_map(str::parse).collect();
            // Eight columns of what was received, then of what was sent; bytes come first.
            (name.trim() != "lo").then_some((*counts.first()?, *counts.get(8)?))
        });
        let (received_bytes, sent_bytes) =
            devices.fold((0, 0), |sum, device| (sum.0 + device.0, sum.1 + device.1));
        Some(Traffic { received_bytes, sent_bytes })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::super::process::fixture::Fixture;
    use super::*;

    #[test]
    fn connections_are_counted_once_and_only_of_that_port() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let roots = Roots::default();
        let count = || roots.connections("self", address.port());
        assert_eq!(count(), Some(0));
        let open: Vec<TcpStream> =
            (0..5).map(|_| TcpStream::connect(address).expect("it listens")).collect();
        let taken: Vec<_> = (0..5).map(|_| listener.accept().expect("it came")).collect();
        assert_eq!(count(), Some(5));
        assert!(roots.listens(std::process::id(), address.port()));
        assert!(!roots.listens(std::process::id(), taken[0].1.port()));
        drop((open, taken, listener));
        assert_eq!(count(), None, "nobody listens");
    }

    #[test]
    fn who_answers_is_found_in_our_network_and_in_one_that_has_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        assert_eq!(Roots::default().listener(address), Some(std::process::id()));
        let fixture = Fixture::new();
        let tcp = "  sl  local_address rem_address   st\n   \
            0: 00000000:1F90 00000000:0000 0A 0:0 0:0 0 0 0 4711 1\n";
        fixture.link("proc/self/ns/net", "net:[1]");
        for (pid, last) in [(7, 7), (8, 8)] {
            fixture.process(pid, 1, [0, 0, 5]);
            fixture.file(&format!("proc/{pid}/net/tcp"), tcp);
            fixture.link(&format!("proc/{pid}/fd/3"), "socket:[4711]");
            fixture.link(&format!("proc/{pid}/ns/net"), &format!("net:[{pid}]"));
            let trie = format!(
                "Main:\n  |-- 172.30.77.0\n     /24 link UNICAST\n  |-- 172.30.77.{last}\n     \
                 /32 host LOCAL\n  |-- 172.30.77.9\n     /32 link BROADCAST\n"
            );
            fixture.file(&format!("proc/{pid}/net/fib_trie"), &trie);
        }
        let found =
            |address: &str| fixture.roots.listener(address.parse().expect("it is an address"));
        assert_eq!(found("172.30.77.8:8080"), Some(8));
        for nobody in ["172.30.77.9:8080", "172.30.77.0:8080", "172.30.77.8:80", "127.0.0.1:8080"] {
            assert_eq!(found(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn traffic_is_told_apart_only_in_a_network_of_its_own() {
        let fixture = Fixture::new();
        fixture.link("proc/self/ns/net", "net:[1]");
        fixture.link("proc/7/ns/net", "net:[1]");
        fixture.link("proc/8/ns/net", "net:[2]");
        for pid in [7, 8] {
            let dev = "Inter-| Receive | Transmit\n face |bytes packets\n\
                lo: 9 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0\n\
                eth0: 100 1 0 0 0 0 0 0 30 2 0 0 0 0 0 0\n\
                eth1:1 1 0 0 0 0 0 0 2 2 0 0 0 0 0 0\n";
            fixture.file(&format!("proc/{pid}/net/dev"), dev);
        }
        assert_eq!(fixture.roots.traffic(7), None);
        let expected = Traffic { received_bytes: 101, sent_bytes: 32 };
        assert_eq!(fixture.roots.traffic(8), Some(expected));
        assert_eq!(fixture.roots.traffic(9), None);
    }
}
