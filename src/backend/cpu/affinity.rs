//! Which cores the threads of a backend run on.

use super::super::BackendError;

/// Which cores the threads of a backend run on: its helpers and the engine's own thread, never a caller's. It outranks
/// what those threads would inherit from the thread that starts them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Affinity {
    /// Wherever the system puts them.
    #[default]
    None,
    /// Thread `n` runs on the `n`-th of these cores (numbers of the system's own) and nowhere else; thread 0 is the
    /// engine's. As many threads as cores, unless fewer are asked for. On Linux only.
    Cores(Vec<usize>),
}

impl Affinity {
    /// The core of thread `thread`.
    pub(super) fn core(&self, thread: usize) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Cores(cores) => cores.get(thread).copied(),
        }
    }

    /// Checks that every core may be used, that none is named twice, and that there is one for each of `threads`.
    pub(super) fn validate(&self, threads: Option<usize>) -> Result<(), BackendError> {
        let Self::Cores(cores) = self else { return Ok(()) };
        let refused =
            |value: String, accepted: String| BackendError::Option { option: "affinity", value, accepted };
        let usable = usable().map_err(|error| {
            refused(list(cores), format!("none, because this system binds no threads to cores ({error})"))
        })?;
        let usable_cores = || format!("cores {}, each at most once", list(&usable));
        if cores.is_empty() {
            return Err(refused("an empty list".into(), usable_cores()));
        }
        for (at, core) in cores.iter().enumerate() {
            if !usable.contains(core) {
                return Err(refused(format!("core {core}"), usable_cores()));
            }
            if cores[..at].contains(core) {
                return Err(refused(format!("core {core} twice"), usable_cores()));
            }
        }
        match threads {
            Some(threads) if threads > cores.len() => {
                let accepted = format!(
                    "a core for each of the {threads} threads, or threads of at most {}",
                    cores.len()
                );
                Err(refused(format!("cores {}", list(cores)), accepted))
            }
            _ => Ok(()),
        }
    }
}

/// Numbers as people read them.
fn list(cores: &[usize]) -> String {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    cores.join(", ")
}

/// The cores that threads of this process can be bound to, whatever the calling thread is bound to.
#[cfg(target_os = "linux")]
pub(super) fn usable() -> std::io::Result<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    // Asks for all and sees what the system leaves of that; on a thread of its own, because it binds.
    let ask = || {
        let mut all = CpuSet::new();
        (0..CpuSet::MAX_CPU).for_each(|core| all.set(core));
        sched_setaffinity(None, &all)?;
        let left = sched_getaffinity(None)?;
        Ok((0..CpuSet::MAX_CPU).filter(|&core| left.is_set(core)).collect())
    };
    let thread = std::thread::Builder::new().name("mr-cores".into()).spawn(ask)?;
    thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread that asks panicked")))
}

/// Binds the calling thread to `core`.
#[cfg(target_os = "linux")]
pub(super) fn bind(core: usize) -> std::io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut set = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// The cores that threads of this process can be bound to.
#[cfg(not(target_os = "linux"))]
pub(super) fn usable() -> std::io::Result<Vec<usize>> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Binds the calling thread to `core`.
#[cfg(not(target_os = "linux"))]
pub(super) fn bind(_: usize) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Binds the calling thread, which is thread `thread` of a backend, where its affinity says so.
pub(super) fn enter(affinity: &Affinity, thread: usize) -> Result<(), BackendError> {
    let Some(core) = affinity.core(thread) else { return Ok(()) };
    bind(core).map_err(|error| BackendError::Option {
        option: "affinity",
        value: format!("core {core}"),
        accepted: format!("cores that the system binds threads to ({error})"),
    })
}

#[cfg(all(test, target_os = "linux"))]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use rustix::thread::{CpuSet, sched_getaffinity};

    use super::*;

    /// The cores that the calling thread may run on.
    pub(in super::super) fn cores_of_this_thread() -> Vec<usize> {
        let set = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
    }

    fn refusal(affinity: Affinity, threads: Option<usize>) -> String {
        affinity.validate(threads).unwrap_err().to_string()
    }

    #[test]
    fn asking_binds_nobody() {
        let before = cores_of_this_thread();
        let usable = usable().unwrap();
        assert_eq!(cores_of_this_thread(), before);
        assert!(before.iter().all(|core| usable.contains(core)));
    }

    #[test]
    fn refusals_name_the_value_and_what_is_accepted() {
        let usable = usable().unwrap();
        let (first, accepted) = (usable[0], list(&usable));
        let missing = usable.last().unwrap() + 1;
        for core in [missing, 5000, usize::MAX] {
            let text = refusal(Affinity::Cores(vec![first, core]), None);
            assert!(text.contains(&format!("affinity is core {core};")), "{text}");
            assert!(text.contains(&format!("cores {accepted},")), "{text}");
        }
        let text = refusal(Affinity::Cores(vec![first, first]), None);
        assert!(text.contains(&format!("core {first} twice")), "{text}");
        assert!(refusal(Affinity::Cores(Vec::new()), None).contains("an empty list"));
        let text = refusal(Affinity::Cores(vec![first]), Some(2));
        assert!(text.contains("threads of at most 1"), "{text}");
        assert!(Affinity::Cores(usable.clone()).validate(Some(1)).is_ok(), "fewer threads than cores");
        assert!(Affinity::None.validate(Some(1000)).is_ok());
    }
}
