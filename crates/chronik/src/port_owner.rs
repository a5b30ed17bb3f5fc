//! Who listens on a port, for the message about a port that is taken.

use std::fs;

/// The process id and name of a listener on a TCP port of this machine; `None` when it cannot be told.
pub fn owner_of(port: u16) -> Option<(u32, String)> {
    let inodes: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listening_inodes(table, port)).collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Processes of others cannot be looked into.
        let Ok(fds) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = fds.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| {
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']'));
            inode.is_some_and(|inode| inodes.iter().any(|i| i == inode))
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// Inodes of the sockets of a `/proc/net/tcp*` table that listen on `port`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let text = fs::read_to_string(table).unwrap_or_default();
    let rows = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = rows.filter(|columns| {
        let local = columns.get(1).and_then(|address| address.rsplit_once(':')).map(|(_, port)| port);
        columns.get(3) == Some(&LISTEN) && local.and_then(|p| u16::from_str_radix(p, 16).ok()) == Some(port)
    });
    ours.filter_map(|columns| columns.get(9).map(|inode| (*inode).to_owned())).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn finds_this_very_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(owner_of(port).map(|(pid, _)| pid), Some(std::process::id()));
    }
}
