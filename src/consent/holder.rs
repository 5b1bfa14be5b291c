//! Who holds a port on this machine.
//!
//! Linux tells it in `/proc`, of one's own processes (and of all to root). Elsewhere, or of others,
//! it is not known; a guess would send a person after the wrong program.

use std::fmt;

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// The name of its program.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// Finds who listens on `port`, on whatever address.
#[cfg(not(target_os = "linux"))]
pub(super) fn of(_port: u16) -> Option<Holder> {
    None
}

#[cfg(target_os = "linux")]
pub(super) use linux::of;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::Holder;
    use crate::token::one_line;

    /// Finds who listens on `port`, on whatever address.
    pub(in super::super) fn of(port: u16) -> Option<Holder> {
        let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
        let tables = tables
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok());
        let sockets: Vec<PathBuf> = tables
            .flat_map(|table| listening(&table, port))
            .map(|inode| PathBuf::from(format!("socket:[{inode}]")))
            .collect();
        if sockets.is_empty() {
            return None;
        }
        fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            holds(&process.path(), &sockets).then(|| Holder {
                pid,
                name: name(&process.path()),
            })
        })
    }

    /// The inodes of the sockets that listen on `port`, in the text of `/proc/net/tcp` or `tcp6`.
    pub(super) fn listening(table: &str, port: u16) -> Vec<u64> {
        const LISTEN: &str = "0A";
        let inode = |line: &str| {
            let mut columns = line.split_ascii_whitespace();
            let (_, held) = columns.nth(1)?.rsplit_once(':')?;
            let state = columns.nth(1)?;
            let inode = columns.nth(5)?.parse().ok()?;
            let is_it = u16::from_str_radix(held, 16) == Ok(port) && state == LISTEN;
            is_it.then_some(inode)
        };
        table.lines().filter_map(inode).collect()
    }

    /// Whether one of the process's descriptors is one of `sockets`.
    fn holds(process: &Path, sockets: &[PathBuf]) -> bool {
        let descriptors = fs::read_dir(process.join("fd"));
        let mut targets = descriptors
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        targets.any(|target| sockets.contains(&target))
    }

    /// The program's file name; what the process calls itself, where that may not be read.
    fn name(process: &Path) -> String {
        let file = fs::read_link(process.join("exe")).ok();
        let file = file.as_deref().and_then(Path::file_name);
        let name = match file {
            Some(name) => name.to_string_lossy().into_owned(),
            None => fs::read_to_string(process.join("comm")).unwrap_or_default(),
        };
        match one_line(name.trim_end_matches(" (deleted)")) {
            name if name.is_empty() => "a program".to_owned(),
            name => name,
        }
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};

    use super::linux::listening;
    use super::*;

    #[test]
    fn only_sockets_that_listen_on_the_port_count() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0
   1: 00000000:0BB9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1002 1 0
   2: 0100007F:0BB8 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 1003 1 0
   3: 0100007F:D2F0 0100007F:0BB8 01 00000000:00000000 00:00000000 00000000     0        0 1004 1 0
   4: 0100007F:0BB8 0100007F:D2F2 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   5: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A \
00000000:00000000 00:00000000 00000000     0        0 1005 1 0
   6: torn";
        assert_eq!(listening(table, 3000), [1001, 1005]);
        assert!(listening("", 3000).is_empty());
    }

    #[test]
    fn this_process_is_found_by_its_port_on_either_family() {
        let addresses = ["127.0.0.1".parse().unwrap(), Ipv6Addr::LOCALHOST.into()];
        let mut families = 0;
        for address in addresses {
            let address: std::net::IpAddr = address;
            let Ok(listener) = TcpListener::bind((address, 0)) else {
                continue;
            };
            families += 1;
            let port = listener.local_addr().unwrap().port();
            let holder = of(port).unwrap();
            assert_eq!(holder.pid, std::process::id());
            let exe = std::env::current_exe().unwrap();
            assert_eq!(Some(holder.name.as_ref()), exe.file_name());
        }
        assert!(families > 0);
    }
}
