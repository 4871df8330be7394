//! Reserved capacity: measured, promised, refused, given back.

use model_runtime::metering::capacity::ProvisionedThroughput;
use model_runtime::metering::ledger::{Page, UsageFilter};
use model_runtime::{ErrorKind, ServeOptions};

use super::{greedy, runtime_with, stories, tiny};

fn band(min: u64, max: u64) -> ProvisionedThroughput {
    ProvisionedThroughput { min, max }
}

#[test]
fn capacity_is_measured_promised_and_given_back() {
    let runtime = runtime_with(ServeOptions::default());
    runtime.serve("other", stories(), ServeOptions::default()).unwrap();
    assert_eq!(runtime.attainment("stories").unwrap(), None);
    let measured = runtime.measure_capacity("stories").unwrap();
    assert!(measured.output_tokens_per_second > 0 && measured.prompt_tokens_per_second > 0, "{measured:?}");
    let chunk = measured.throughput_chunk_size;
    let whole = measured.output_tokens_per_second / chunk * chunk;
    assert_eq!(measured.fits, whole, "nobody holds anything");

    let most = runtime.provision("stories", band(0, whole + chunk)).unwrap_err();
    assert_eq!((most.kind(), most.param()), (ErrorKind::InvalidRequest, Some("max_provisioned_throughput")));
    assert!(most.message().contains(&format!("at most {whole}")), "{most}");
    runtime.provision("stories", band(whole, whole)).unwrap();
    // The machine is promised but for less than a chunk: nearly nothing is left for another, until it is given back.
    let quarter = whole / 4 / chunk * chunk;
    let taken = runtime.provision("other", band(quarter, quarter)).unwrap_err();
    assert_eq!((taken.kind(), taken.param()), (ErrorKind::Conflict, Some("min_provisioned_throughput")));
    assert!(runtime.measure_capacity("other").unwrap().fits < quarter);
    assert_eq!(runtime.complete(greedy("Once upon a time", 8)).unwrap().usage.completion_tokens, 8);
    let told = runtime.attainment("stories").unwrap().unwrap();
    assert!(told.given > 0.0, "{told:?}");
    runtime.release("stories").unwrap();
    assert_eq!(runtime.attainment("stories").unwrap(), None);
    // Measured anew: what the machine did for the other one may be less by now.
    let quarter = runtime.measure_capacity("other").unwrap().fits / 4 / chunk * chunk;
    runtime.provision("other", band(quarter, quarter)).unwrap();
    // An endpoint that is removed holds nothing any more.
    runtime.remove("other").unwrap();
    runtime.provision("stories", band(whole, whole)).unwrap();
    let records = runtime.usage(&UsageFilter::default(), Page::default()).unwrap().records;
    assert!(records.is_empty(), "measuring is not metered");
}

#[test]
fn an_encoder_is_measured_by_its_texts() {
    let runtime = runtime_with(ServeOptions::default());
    runtime.serve("bge", tiny("bert_bge"), ServeOptions::default()).unwrap();
    let measured = runtime.measure_capacity("bge").unwrap();
    assert_eq!(measured.output_tokens_per_second, measured.prompt_tokens_per_second);
    let chunk = measured.throughput_chunk_size;
    runtime.provision("bge", band(chunk, chunk * 2)).unwrap();
    assert_eq!(runtime.embed("bge", "a", Default::default()).unwrap().len(), 1);
    assert_eq!(runtime.measure_capacity("nobody").unwrap_err().kind(), ErrorKind::NotFound);
}
