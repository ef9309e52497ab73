//! CPU and memory of the host, from `/proc` (proc(5)). Read only when asked.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

/// CPU and memory of the host.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Vitals {
    /// 0 to 100, since the sample before.
    pub cpu_percent: f64,
    /// Bytes used, without what the kernel can take back at once.
    pub memory_used_bytes: u64,
    /// Bytes in all.
    pub memory_total_bytes: u64,
    /// 0 to 100.
    pub memory_percent: f64,
    /// Number of CPUs.
    pub cpu_count: u64,
}

/// Ticks since boot: all and idle.
type Ticks = (u64, u64);

/// Keeps the sample before, because CPU use is a difference.
#[derive(Clone, Default)]
pub struct Sampler(Arc<Mutex<Option<(Instant, Ticks, Vitals)>>>);

impl Sampler {
    /// The present values; the same ones when asked again within half a second.
    pub fn now(&self) -> Vitals {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, _, vitals)) = *last
            && at.elapsed() < Duration::from_millis(500)
        {
            return vitals;
        }
        let (ticks, cpu_count) = fs::read_to_string("/proc/stat").map(|text| cpu(&text)).unwrap_or_default();
        let (total, used) = fs::read_to_string("/proc/meminfo").map(|text| memory(&text)).unwrap_or_default();
        let before = last.as_ref().map_or((0, 0), |(_, ticks, _)| *ticks);
        let vitals = Vitals {
            cpu_percent: percent(
                (ticks.0.saturating_sub(before.0)).saturating_sub(ticks.1.saturating_sub(before.1)),
                ticks.0.saturating_sub(before.0),
            ),
            memory_used_bytes: used,
            memory_total_bytes: total,
            memory_percent: percent(used, total),
            cpu_count,
        };
        *last = Some((Instant::now(), ticks, vitals));
        vitals
    }
}

/// One decimal.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    f64::from(u32::try_from(tenths).unwrap_or(1000).min(1000)) / 10.0
}

fn cpu(stat: &str) -> (Ticks, u64) {
    let first = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = first.split_whitespace().skip(1).filter_map(|text| text.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest times are part of user.
    let all = fields.iter().take(8).sum();
    let idle = fields.iter().skip(3).take(2).sum();
    let cpus = stat.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1);
    ((all, idle), cpus as u64)
}

fn memory(meminfo: &str) -> (u64, u64) {
    let bytes = |name: &str| {
        let line = meminfo.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    let total = bytes("MemTotal:").unwrap_or(0);
    (total, total.saturating_sub(bytes("MemAvailable:").unwrap_or(total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procfs_is_understood() {
        let ((all, idle), cpus) = cpu("cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1 1\ncpu1 1 1\nintr 5\n");
        assert_eq!((all, idle, cpus), (100, 80, 2));
        assert_eq!(memory("MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 25 kB\n"), (102_400, 76_800));
        assert!((percent(1, 3) - 33.3).abs() < f64::EPSILON);
    }
}
