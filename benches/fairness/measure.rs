//! The measurements.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use model_runtime::metering::capacity::ProvisionedThroughput;
use model_runtime::runtime::MeasuredCapacity;
use model_runtime::{ModelRuntime, ServeOptions};

use super::Failure;
use super::arguments::Arguments;
use super::report::Report;
use super::traffic::Traffic;

const RESERVED: &str = "reserved";
const FLOOD: &str = "flood";

fn serve(folder: &Path, a: &Arguments, endpoints: &[&str]) -> Result<ModelRuntime, Failure> {
    let runtime = ModelRuntime::builder().build()?;
    for endpoint in endpoints {
        let options = ServeOptions::default()
            .context_length(512)
            .cache_tokens(512 * a.callers.max(a.heavy + 1))
            .max_sequences(a.callers.max(a.heavy + 1))
            .max_queue(1024);
        runtime.serve(endpoint, folder, options)?;
    }
    Ok(runtime)
}

/// Rates of one endpoint, in output tokens per second or what takes as long.
struct Rates<'a> {
    runtime: &'a ModelRuntime,
    measured: MeasuredCapacity,
}

impl Rates<'_> {
    /// What an endpoint has been served since its start.
    fn served(&self, endpoint: &str) -> Result<f64, Failure> {
        let stats = self.runtime.stats();
        let engine = stats.endpoints.iter().find(|one| one.name == endpoint).and_then(|one| one.engine);
        let engine = engine.ok_or("the endpoint is gone")?;
        let MeasuredCapacity { output_tokens_per_second, prompt_tokens_per_second, .. } = self.measured;
        let worth = output_tokens_per_second as f64 / prompt_tokens_per_second as f64;
        Ok(engine.generated_tokens as f64 + engine.prefill_tokens as f64 * worth)
    }

    /// What endpoints are served per second while this thread sleeps.
    fn during<const N: usize>(&self, endpoints: [&str; N], seconds: f64) -> Result<[f64; N], Failure> {
        // What is not measured: the first requests all begin at once.
        thread::sleep(Duration::from_secs_f64(seconds / 10.0));
        let mut before = [0.0; N];
        for (served, endpoint) in before.iter_mut().zip(endpoints) {
            *served = self.served(endpoint)?;
        }
        let begin = Instant::now();
        thread::sleep(Duration::from_secs_f64(seconds));
        let mut rates = [0.0; N];
        for ((rate, endpoint), before) in rates.iter_mut().zip(endpoints).zip(before) {
            *rate = (self.served(endpoint)? - before) / begin.elapsed().as_secs_f64();
        }
        Ok(rates)
    }
}

/// A reserved endpoint beside a flooded one.
pub(crate) fn reservation(folder: &Path, a: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let runtime = serve(folder, a, &[RESERVED, FLOOD])?;
    let measured = runtime.measure_capacity(RESERVED)?;
    let rates = Rates { runtime: &runtime, measured };
    let traffic = |endpoint| Traffic {
        runtime: &runtime,
        endpoint,
        principal: endpoint,
        prompt: a.prompt,
        answer: a.answer,
    };
    let load = |reserved: usize, flood: usize| {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            traffic(RESERVED).start(scope, reserved, &stop);
            traffic(FLOOD).start(scope, flood, &stop);
            let rates = rates.during([RESERVED, FLOOD], a.seconds);
            // Callers that met an error have set it.
            if stop.swap(true, Ordering::Relaxed) {
                return Err("a caller met an error".into());
            }
            rates
        })
    };
    report.add(
        "measured",
        "measured capacity",
        measured.output_tokens_per_second as f64,
        "tokens/s",
        String::new(),
    );
    let [alone, _] = load(a.callers, 0)?;
    report.add("alone", "one endpoint alone", alone, "tokens/s", "no reservation".into());

    let chunk = measured.throughput_chunk_size;
    let wanted = (alone * a.share as f64 / 100.0) as u64 / chunk * chunk;
    runtime.provision(RESERVED, ProvisionedThroughput { min: wanted, max: wanted })?;
    let [attained, left] = load(a.callers, a.callers)?;
    let note = format!("{:.1} % of the {wanted} reserved; goal 95 %", 100.0 * attained / wanted as f64);
    report.add("attained", "the reserved endpoint, flooded", attained, "tokens/s", note);
    let rest = alone - attained;
    let note = format!("{:.1} % of the {rest:.0} that are left; goal 90 %", 100.0 * left / rest);
    report.add("left", "the flood beside it", left, "tokens/s", note);
    let told = runtime.attainment(RESERVED)?.ok_or("the endpoint holds nothing")?;
    let note = format!("owed {:.0}, given {:.0}, wanted {:.0}", told.owed, told.given, told.wanted);
    let percent = 100.0 * told.given / told.owed.min(told.wanted).max(1.0);
    report.add("attainment", "attainment as the runtime tells it", percent, "%", note);
    let [_, idle] = load(0, a.callers)?;
    let note = format!("{:.1} % of one alone", 100.0 * idle / alone);
    report.add("idle", "the flood, the reserved one idle", idle, "tokens/s", note);
    runtime.release(RESERVED)?;
    let [one, other] = load(a.callers, a.callers)?;
    let note = format!("{:.1} and {:.1}, no reservation", one, other);
    report.add("both", "both without a reservation", one + other, "tokens/s", note);
    Ok(())
}

/// A light caller beside a heavy one.
pub(crate) fn callers(folder: &Path, a: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let runtime = serve(folder, a, &[FLOOD])?;
    let light =
        Traffic { runtime: &runtime, endpoint: FLOOD, principal: "light", prompt: a.light_prompt, answer: 8 };
    let heavy = Traffic { principal: "heavy", prompt: a.prompt, answer: a.answer, ..light };
    let median = || -> Result<Duration, Failure> {
        let mut times = Vec::new();
        for _ in 0..a.light {
            times.push(light.ask()?);
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    };
    light.ask()?;
    let alone = median()?;
    report.add("light_alone", "first token of a light caller, alone", millis(alone), "ms", String::new());
    for (key, concurrent) in [("light_beside", a.heavy), ("light_crowded", 10 * a.heavy)] {
        let stop = AtomicBool::new(false);
        let beside = thread::scope(|scope| {
            heavy.start(scope, concurrent, &stop);
            thread::sleep(Duration::from_secs(1));
            let beside = median();
            if stop.swap(true, Ordering::Relaxed) {
                return Err("a caller met an error".into());
            }
            beside
        })?;
        let note = format!("{:.2} times that; goal 1.5", beside.as_secs_f64() / alone.as_secs_f64());
        report.add(key, format!("beside {concurrent} requests of another"), millis(beside), "ms", note);
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
