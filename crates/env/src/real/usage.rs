//! What this process has used, as Linux tells it below `/proc/self`.

use std::fs;

use crate::task::Usage;

/// Linux counts processor time in these on every machine this runs on (`USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;

/// `None` where there is no `/proc`.
pub(super) fn of_this_process() -> Option<Usage> {
    let pages: u64 = fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(Usage {
        resident_bytes: pages * rustix::param::page_size() as u64,
        cpu_seconds: cpu_ticks(&fs::read_to_string("/proc/self/stat").ok()?)? as f64 / TICKS_A_SECOND,
        open_files: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
    })
}

/// User and system time. The name of the program, which may hold anything, ends at the last parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(150));
        assert_eq!(cpu_ticks("42 (x) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_uses_something() {
        let usage = of_this_process().expect("Linux has /proc");
        assert!(usage.resident_bytes > 100_000 && usage.open_files >= 3, "{usage:?}");
    }
}
