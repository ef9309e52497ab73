//! How much of the machine jobs get beside everything else that runs on it.

/// The weight that containers and processes have which nobody gave another.
const USUAL: u32 = 1024;

/// How much jobs get when others want the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// Of the CPUs, against the usual 1024.
    pub cpu: u32,
    /// Of the disks, 10 to 1000; not given = the engine's own.
    pub disk: Option<u16>,
}

impl Weights {
    /// The niceness of a process with this weight on the CPUs: each step is worth a quarter (sched(7)).
    /// The kernel derives its place at the disks from it (ioprio_set(2)).
    pub fn niceness(self) -> u32 {
        let worth = |step: &u32| f64::from(USUAL) / 1.25_f64.powf(f64::from(*step));
        let distance = |step: &u32| (worth(step) - f64::from(self.cpu)).abs();
        (0..20).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_weight_is_more_niceness() {
        let niceness = |cpu| Weights { cpu, disk: None }.niceness();
        assert_eq!([2, 15, 256, 820, 1024, 4096].map(niceness), [19, 19, 6, 1, 0, 0]);
    }
}
