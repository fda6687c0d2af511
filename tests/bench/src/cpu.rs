//! CPU time by process, from /proc: each service with its children (the executor's are the sandboxes).

/// A name and the processes that count for it.
pub(crate) type Named = (&'static str, Vec<u32>);

/// Milliseconds of CPU since each process began, by name.
#[derive(Debug, Clone)]
pub(crate) struct Usage(Vec<(String, f64)>);

/// Kernel ticks per second for user space: 100 on every Linux that matters here.
const TICKS_PER_SECOND: f64 = 100.0;

impl Usage {
    pub(crate) fn of(processes: &[Named]) -> Self {
        let mut usage = Vec::new();
        for (name, pids) in processes {
            let own: f64 = pids.iter().filter_map(|pid| ticks(*pid)).map(|(own, _)| own).sum();
            let children: f64 = pids.iter().filter_map(|pid| ticks(*pid)).map(|(_, children)| children).sum();
            usage.push(((*name).to_owned(), own * 1000.0 / TICKS_PER_SECOND));
            if children > 0.0 {
                usage.push((format!("{name}: sandboxes"), children * 1000.0 / TICKS_PER_SECOND));
            }
        }
        let me = ticks(std::process::id()).map_or(0.0, |(own, _)| own);
        usage.push(("client (this)".to_owned(), me * 1000.0 / TICKS_PER_SECOND));
        Self(usage)
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        let earlier = |name: &str| before.0.iter().find(|(other, _)| other == name).map_or(0.0, |(_, millis)| *millis);
        Self(self.0.iter().map(|(name, millis)| (name.clone(), millis - earlier(name))).collect())
    }

    pub(crate) fn per_run(&self, runs: usize) -> Vec<(String, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let runs = runs as f64;
        let mut rows: Vec<(String, f64)> = self.0.iter().map(|(name, millis)| (name.clone(), millis / runs)).collect();
        let total = rows.iter().map(|(_, millis)| millis).sum();
        rows.push(("total".to_owned(), total));
        rows
    }
}

/// Ticks of the process itself, and of its children that were waited for (proc(5): fields 14 to 17 of stat).
fn ticks(pid: u32) -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<f64> =
        after_name.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    let [user, system, child_user, child_system] = fields.try_into().ok()?;
    Some((user + system, child_user + child_system))
}

/// Milliseconds of CPU that a process has used, without its children.
pub(crate) fn of_process(pid: u32) -> f64 {
    ticks(pid).map_or(0.0, |(own, _)| own * 1000.0 / TICKS_PER_SECOND)
}
