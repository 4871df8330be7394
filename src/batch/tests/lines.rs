//! Lines that are no requests, and requests that are refused.

use super::*;
use crate::batch::{Batch, MAX_LINE_BYTES};

#[test]
fn whatever_a_line_is_it_has_a_result_and_the_run_goes_on() {
    let good = input([0]);
    let unknown = r#"{"custom_id": "u", "method": "POST", "url": "/v1/completions", "body": {"model": "nobody", "prompt": "a"}}"#;
    let stream = r#"{"custom_id": "s", "method": "POST", "url": "/v1/completions", "body": {"model": "stories", "prompt": "a", "stream": true}}"#;
    let wrong_task = r#"{"custom_id": "w", "method": "POST", "url": "/v1/embeddings", "body": {"model": "stories", "input": "a"}}"#;
    let long = format!(r#"{{"custom_id": "{}"#, "x".repeat(MAX_LINE_BYTES));
    let nothing = r#"{"custom_id": "n", "method": "POST", "body": {}}"#;
    let text =
        [&good, "not json\n\n", nothing, "\n", &good, unknown, "\r\n", stream, "\n", &long, "\n", wrong_task]
            .concat();
    let mut output = Vec::new();
    let summary = Batch::new(&RUNTIME).concurrency(3).run(text.as_bytes(), &mut output).unwrap();
    let results = parse(&output);
    let found: Vec<_> = results
        .iter()
        .map(|result| {
            let said = &result["error"]["message"].as_str().unwrap_or_default();
            let line = said.split(':').next().unwrap().to_owned();
            (result["custom_id"].as_str(), result["response"]["status_code"].as_u64(), line)
        })
        .collect();
    let no_line = String::new;
    assert_eq!(
        found,
        [
            (Some("r0"), Some(200), no_line()),
            (None, None, "line 2".into()),
            (Some("n"), None, "line 4".into()),
            (Some("r0"), None, "line 5".into()),
            (Some("u"), Some(404), no_line()),
            (Some("s"), Some(400), no_line()),
            (None, None, "line 8".into()),
            (Some("w"), Some(501), no_line()),
        ]
    );
    assert_eq!(results[4]["id"], "batch_req_6", "the empty line counts as a line");
    assert_eq!(results[4]["response"]["body"]["error"]["code"], "not_found");
    assert_eq!(results[5]["response"]["body"]["error"]["param"], "stream");
    assert!(
        results[3]["error"]["message"].as_str().unwrap().contains("an earlier line has"),
        "{}",
        results[3]
    );
    assert!(results[6]["error"]["message"].as_str().unwrap().contains("16777216 bytes"), "{}", results[6]);
    assert!(results[0]["response"]["request_id"].as_str().unwrap().starts_with("cmpl-"));
    let progress = summary.progress;
    assert_eq!((progress.read, progress.done, progress.failed), (8, 1, 7));
    assert!(summary.complete);
}

#[test]
fn a_file_of_nothing_is_done_at_once() {
    for text in ["", "\n", "\n \r\n\n"] {
        let mut output = Vec::new();
        let summary = Batch::new(&RUNTIME).run(text.as_bytes(), &mut output).unwrap();
        assert!(summary.complete && output.is_empty() && summary.progress.read == 0, "{text:?}");
    }
    // More of them than there are places.
    let mut output = Vec::new();
    let summary = Batch::new(&RUNTIME).concurrency(4).run("{}\n".repeat(50).as_bytes(), &mut output).unwrap();
    assert_eq!((summary.progress.failed, parse(&output).len()), (50, 50));
}
