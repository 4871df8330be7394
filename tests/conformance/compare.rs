//! Compares what the runners of several languages have written, and prints a table of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Outcome;
use super::case::Case;

/// The line that a runner writes for a case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    case: String,
    results: Vec<Value>,
}

/// A result without what differs from answer to answer: their names and times, how far they were when they were ended, and how many
/// entities have not quite gone yet.
pub(crate) fn comparable(result: &Value) -> Value {
    match result {
        Value::Object(members) => {
            let ended = ["deadline_exceeded", "cancelled"];
            let ended = members.get("code").is_some_and(|code| ended.iter().any(|ended| code == ended));
            let varies =
                |key: &str| ["id", "created", "draining"].contains(&key) || ended && key == "message";
            let kept = members.iter().filter(|(key, _)| !varies(key));
            kept.map(|(key, value)| (key.clone(), comparable(value))).collect()
        }
        Value::Array(all) => all.iter().map(comparable).collect(),
        other => other.clone(),
    }
}

/// The results of a language, by the names of the cases.
pub(crate) fn read(text: &str) -> Outcome<BTreeMap<String, Vec<Value>>> {
    let mut cases = BTreeMap::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line)?;
        if cases.insert(line.case.clone(), line.results).is_some() {
            return Err(format!("{} is there twice", line.case).into());
        }
    }
    Ok(cases)
}

/// The first place where two results are not the same.
fn difference(path: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            a.keys().chain(b.keys()).find_map(|key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => difference(&format!("{path}.{key}"), a, b),
                (Some(_), None) => Some(format!("{path}.{key} is missing")),
                _ => Some(format!("{path}.{key} is there")),
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| difference(&format!("{path}[{index}]"), a, b)),
        (a, b) => (a != b).then(|| format!("{path} is {}, natively {}", shorten(b), shorten(a))),
    }
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Prints how many cases of each group every language answers as the native results do, and each difference.
pub(crate) fn table(
    cases: &[Case],
    native: &BTreeMap<String, Vec<Value>>,
    languages: &[(String, BTreeMap<String, Vec<Value>>)],
) -> Outcome<bool> {
    let mut groups: Vec<&str> = Vec::new();
    for case in cases {
        if !groups.contains(&case.group.as_str()) {
            groups.push(&case.group);
        }
    }
    let mut same = true;
    let names = languages.iter().map(|(name, _)| name.as_str());
    let heads: Vec<&str> = ["cases of", "native"].into_iter().chain(names).collect();
    println!("| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()));
    let mut differences = Vec::new();
    for group in groups {
        let of_group: Vec<&Case> = cases.iter().filter(|case| case.group == group).collect();
        let mut row = vec![group.to_owned(), of_group.len().to_string()];
        for (language, results) in languages {
            let mut equal = 0;
            for case in &of_group {
                let ours: Value = native.get(&case.name).into_iter().flatten().map(comparable).collect();
                let theirs: Value = results.get(&case.name).into_iter().flatten().map(comparable).collect();
                match difference("results", &ours, &theirs) {
                    None => equal += 1,
                    Some(what) => differences.push(format!("{language}: {}: {what}", case.name)),
                }
            }
            same &= equal == of_group.len();
            row.push(equal.to_string());
        }
        println!("| {} |", row.join(" | "));
    }
    for difference in differences {
        eprintln!("{difference}");
    }
    for (language, results) in languages {
        for name in results.keys().filter(|name| !native.contains_key(*name)) {
            eprintln!("{language}: {name}: there is no such case");
            same = false;
        }
    }
    Ok(same)
}
