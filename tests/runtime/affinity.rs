//! Which cores an endpoint's threads run on.

use model_runtime::backend::cpu::{Affinity, CpuOptions};
use model_runtime::runtime::BackendChoice;
use model_runtime::{Error, ErrorKind, ModelRuntime, ServeOptions};

use super::{greedy, stories};

fn cpu(options: CpuOptions) -> ServeOptions {
    ServeOptions::default().backend(BackendChoice::Cpu(options))
}

fn cores(cores: &[usize]) -> ServeOptions {
    cpu(CpuOptions::default().affinity(Affinity::Cores(cores.to_vec())))
}

fn refused(options: fn() -> ServeOptions) -> Error {
    let runtime = ModelRuntime::builder().build().unwrap();
    let planned = runtime.plan(stories(), &options()).unwrap_err();
    let served = runtime.serve("stories", stories(), options()).unwrap_err();
    assert_eq!(planned.message(), served.message());
    assert_eq!(served.kind(), ErrorKind::InvalidRequest);
    assert!(runtime.endpoints().is_empty());
    served
}

#[test]
fn what_cannot_be_is_refused_by_plan_and_serve() {
    let error = refused(|| cpu(CpuOptions::default().threads(0)));
    assert_eq!(error.message(), "threads is 0; accepted: 1 to 1024");
    assert_eq!(error.param(), Some("threads"));
    let error = refused(|| cpu(CpuOptions::default().threads(1025)));
    assert_eq!(error.message(), "threads is 1025; accepted: 1 to 1024");
    let error = refused(|| cores(&[100_000]));
    assert!(error.message().starts_with("affinity is core"), "{error}");
    assert_eq!(error.param(), Some("affinity"));
}

/// The cores that the threads named `name` may run on, one list for each.
#[cfg(target_os = "linux")]
fn threads(name: &str) -> Vec<String> {
    let field = |text: &str, name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().to_owned())
    };
    // A thread that ends meanwhile has no status any more.
    let statuses = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).ok()?;
        Some((field(&status, "Name")?, field(&status, "Cpus_allowed_list")?))
    });
    statuses.filter(|(found, _)| found == name).map(|(_, cores)| cores).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn two_runtimes_run_where_they_are_told_and_the_caller_where_it_was() {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let before = sched_getaffinity(None).unwrap();
    let mut free = (0..CpuSet::MAX_CPU).filter(|&core| before.is_set(core));
    let first = free.next().unwrap();
    let second = free.next().unwrap_or(first);
    let runtimes: Vec<ModelRuntime> = [vec![first, second], vec![second, first]]
        .iter()
        .map(|pair| {
            let runtime = ModelRuntime::builder().build().unwrap();
            runtime
                .serve("stories", stories(), cores(if first == second { &pair[..1] } else { pair }))
                .unwrap();
            runtime
        })
        .collect();
    let plain = super::runtime_with(ServeOptions::default());
    let answers = |runtime: &ModelRuntime| runtime.complete(greedy("Once upon a time", 24)).unwrap().choices;
    let expected = answers(&plain);
    std::thread::scope(|scope| {
        for runtime in &runtimes {
            scope.spawn(|| assert_eq!(answers(runtime), expected));
        }
    });
    let engines = threads("mr-engine");
    for core in [first, second] {
        assert!(engines.contains(&core.to_string()), "no engine on core {core} alone: {engines:?}");
    }
    let helpers = threads("mr-compute-1");
    for core in [first, second].iter().filter(|_| first != second) {
        assert!(helpers.contains(&core.to_string()), "no helper on core {core} alone: {helpers:?}");
    }
    assert_eq!(sched_getaffinity(None).unwrap(), before, "the caller's thread is left alone");
}
