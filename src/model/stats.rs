//! The arithmetic of container statistics: what an engine's raw sample means,
//! on both versions of control groups, with the same results as `docker stats`.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// One sample, as far as it matters. Bytes and nanoseconds are totals since the container started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// CPU time of the container, and of the whole host.
    cpu: (u64, u64),
    /// The same in the sample before.
    before: (u64, u64),
    /// CPUs that are switched on.
    pub cpus: u64,
    /// Memory in use without what the kernel only keeps as a cache.
    pub memory_used: u64,
    /// Its limit; the host's memory when it has none.
    pub memory_limit: u64,
    /// Received over all networks.
    pub network_rx: u64,
    /// Sent over all networks.
    pub network_tx: u64,
    /// Read from disks.
    pub block_read: u64,
    /// Written to disks.
    pub block_write: u64,
    /// Processes and threads.
    pub pids: u64,
}

impl Sample {
    /// Reads the answer of `GET /containers/{id}/stats`; `None` when the container does not run.
    pub fn of(stats: &Value) -> Option<Self> {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let system = stats["cpu_stats"]["system_cpu_usage"].as_u64()?;
        let cpu = &stats["cpu_stats"];
        let per_cpu = cpu["cpu_usage"]["percpu_usage"].as_array().map_or(1, Vec::len);
        let cpus = cpu["online_cpus"].as_u64().filter(|count| *count > 0).unwrap_or(per_cpu as u64);
        let networks = || stats["networks"].as_object().into_iter().flatten();
        let sum = |field: &str| networks().map(|(_, network)| number(&network[field])).sum();
        Some(Self {
            at: stats["read"].as_str()?.parse().ok()?,
            cpu: (number(&cpu["cpu_usage"]["total_usage"]), system),
            before: (
                number(&stats["precpu_stats"]["cpu_usage"]["total_usage"]),
                number(&stats["precpu_stats"]["system_cpu_usage"]),
            ),
            cpus: cpus.max(1),
            memory_used: memory(&stats["memory_stats"]),
            memory_limit: number(&stats["memory_stats"]["limit"]),
            network_rx: sum("rx_bytes"),
            network_tx: sum("tx_bytes"),
            block_read: disk(&stats["blkio_stats"], "read"),
            block_write: disk(&stats["blkio_stats"], "write"),
            pids: number(&stats["pids_stats"]["current"]),
        })
    }

    /// Percent of one CPU since the sample before: 200 = two CPUs busy. `None` in a first sample.
    pub fn cpu_percent(&self) -> Option<f64> {
        if self.before.1 == 0 {
            return None;
        }
        let own = self.cpu.0.saturating_sub(self.before.0);
        let all = self.cpu.1.saturating_sub(self.before.1);
        if all == 0 {
            return Some(0.0);
        }
        Some(float(own) / float(all) * float(self.cpus) * 100.0)
    }

    /// Memory in percent of the limit.
    pub fn memory_percent(&self) -> f64 {
        if self.memory_limit == 0 {
            return 0.0;
        }
        float(self.memory_used) / float(self.memory_limit) * 100.0
    }

    /// Bytes per second of a total between an earlier sample and this one.
    pub fn rate(&self, earlier: &Self, total: impl Fn(&Self) -> u64) -> u64 {
        let millis = u64::try_from((self.at - earlier.at).num_milliseconds()).unwrap_or(0);
        if millis == 0 {
            return 0;
        }
        total(self).saturating_sub(total(earlier)).saturating_mul(1000) / millis
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn float(number: u64) -> f64 {
    number as f64
}

/// Version 1 tells `total_inactive_file` (old engines only `cache`), version 2 `inactive_file`.
fn memory(stats: &Value) -> u64 {
    let usage = stats["usage"].as_u64().unwrap_or(0);
    let details = &stats["stats"];
    let cache =
        ["total_inactive_file", "inactive_file", "cache"].iter().find_map(|name| details[*name].as_u64());
    match cache {
        Some(cache) if cache < usage => usage - cache,
        _ => usage,
    }
}

/// "Read" in version 1, "read" in version 2.
fn disk(stats: &Value, direction: &str) -> u64 {
    let entries = stats["io_service_bytes_recursive"].as_array().into_iter().flatten();
    entries
        .filter(|entry| entry["op"].as_str().is_some_and(|op| op.eq_ignore_ascii_case(direction)))
        .map(|entry| entry["value"].as_u64().unwrap_or(0))
        .sum()
}

/// Values over the last seconds as equal slices of time, the newest last; a slice without a value is
/// left out. `values` is age in seconds and value.
pub fn slices(values: &[(u64, f64)], seconds: u64, count: u64) -> Vec<(u64, f64)> {
    let width = (seconds / count.max(1)).max(1);
    (0..count)
        .filter_map(|slice| {
            let newest = (count - 1 - slice) * width;
            let within = values.iter().filter(|(age, _)| (newest..newest + width).contains(age));
            let (sum, many) = within.fold((0.0, 0), |(sum, many), (_, value)| (sum + value, many + 1));
            (many > 0).then(|| (slice, sum / float(many)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// From an engine 20.10 on control groups version 1, two CPUs; shortened.
    fn version_1() -> Value {
        json!({
            "read": "2026-03-14T09:32:02.100500000Z", "preread": "2026-03-14T09:32:01.099500000Z",
            "pids_stats": { "current": 4 },
            "blkio_stats": { "io_service_bytes_recursive": [
                { "major": 8, "minor": 0, "op": "Read", "value": 4_096 },
                { "major": 8, "minor": 0, "op": "Write", "value": 8_192 },
                { "major": 8, "minor": 0, "op": "Sync", "value": 12_288 },
                { "major": 8, "minor": 0, "op": "Total", "value": 12_288 },
                { "major": 8, "minor": 16, "op": "Read", "value": 1_000 },
            ] },
            "cpu_stats": {
                "cpu_usage": { "total_usage": 1_500_000_000u64, "percpu_usage": [700_000_000u64, 800_000_000u64] },
                "system_cpu_usage": 102_000_000_000u64, "online_cpus": 2,
            },
            "precpu_stats": {
                "cpu_usage": { "total_usage": 1_000_000_000u64 },
                "system_cpu_usage": 100_000_000_000u64, "online_cpus": 2,
            },
            "memory_stats": {
                "usage": 10_485_760, "limit": 104_857_600,
                "stats": { "cache": 9_000_000, "inactive_file": 1, "total_inactive_file": 4_194_304 },
            },
            "networks": { "eth0": { "rx_bytes": 100, "tx_bytes": 10 }, "eth1": { "rx_bytes": 20, "tx_bytes": 2 } },
        })
    }

    /// From an engine 28 on control groups version 2, eight CPUs; shortened.
    fn version_2() -> Value {
        json!({
            "read": "2026-03-14T09:32:02Z",
            "pids_stats": { "current": 11, "limit": 18_000 },
            "blkio_stats": { "io_service_bytes_recursive": [
                { "major": 259, "minor": 0, "op": "read", "value": 700 },
                { "major": 259, "minor": 0, "op": "write", "value": 300 },
            ] },
            "cpu_stats": {
                "cpu_usage": { "total_usage": 80_000_000u64 },
                "system_cpu_usage": 8_000_000_000u64, "online_cpus": 8,
            },
            "precpu_stats": {
                "cpu_usage": { "total_usage": 40_000_000u64 }, "system_cpu_usage": 0, "online_cpus": 8,
            },
            "memory_stats": {
                "usage": 50_000_000, "limit": 1_000_000_000,
                "stats": { "anon": 1, "file": 20_000_000, "inactive_file": 12_000_000 },
            },
        })
    }

    #[test]
    fn version_1_is_counted_as_docker_stats_does() {
        let sample = Sample::of(&version_1()).unwrap();
        assert_eq!(sample.cpu_percent(), Some(50.0));
        assert_eq!(sample.memory_used, 10_485_760 - 4_194_304);
        assert!((sample.memory_percent() - 6.0).abs() < 0.001);
        assert_eq!((sample.block_read, sample.block_write), (5_096, 8_192));
        assert_eq!((sample.network_rx, sample.network_tx, sample.pids), (120, 12, 4));
    }

    #[test]
    fn version_2_is_counted_as_docker_stats_does() {
        let sample = Sample::of(&version_2()).unwrap();
        assert_eq!(sample.cpu_percent(), None, "a first sample has nothing to compare with");
        assert_eq!(sample.memory_used, 38_000_000);
        assert_eq!((sample.block_read, sample.block_write, sample.network_rx), (700, 300, 0));
        let mut second = version_2();
        second["precpu_stats"]["system_cpu_usage"] = json!(7_000_000_000u64);
        assert_eq!(Sample::of(&second).unwrap().cpu_percent(), Some(32.0));
    }

    #[test]
    fn what_does_not_run_has_no_sample() {
        let stopped =
            json!({ "read": "0001-01-01T00:00:00Z", "cpu_stats": { "cpu_usage": { "total_usage": 0 } } });
        assert_eq!(Sample::of(&stopped), None);
    }

    #[test]
    fn old_engines_tell_only_the_cache() {
        let mut old = version_1();
        old["memory_stats"]["stats"] = json!({ "cache": 485_760 });
        old["cpu_stats"]["online_cpus"] = Value::Null;
        let sample = Sample::of(&old).unwrap();
        assert_eq!((sample.memory_used, sample.cpus), (10_000_000, 2));
    }

    #[test]
    fn rates_are_per_second() {
        let first = Sample::of(&version_1()).unwrap();
        let mut later = version_1();
        later["read"] = json!("2026-03-14T09:32:04.100500000Z");
        later["networks"]["eth0"]["rx_bytes"] = json!(4_100);
        let later = Sample::of(&later).unwrap();
        assert_eq!(later.rate(&first, |sample| sample.network_rx), 2_000);
        assert_eq!(first.rate(&later, |sample| sample.network_rx), 0);
    }

    #[test]
    fn slices_are_means() {
        assert_eq!(slices(&[(0, 4.0), (1, 2.0), (9, 8.0)], 10, 5), [(0, 8.0), (4, 3.0)]);
    }
}
