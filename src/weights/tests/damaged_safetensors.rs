//! safetensors headers that contradict themselves.

use std::path::Path;

use super::assert_says;
use super::build::{SOUND, safetensors as file};
use crate::weights::{DType, safetensors};

#[test]
fn a_sound_file_is_accepted() {
    let tensors = safetensors::parse(file(SOUND, 24).as_slice(), Path::new("m")).unwrap();
    let listed: Vec<_> =
        tensors.iter().map(|t| (t.name(), t.dtype(), t.shape().to_vec(), t.bytes())).collect();
    assert_eq!(listed, [("a", DType::F32, vec![2, 2], 16), ("b", DType::BF16, vec![4], 8)]);
    assert_eq!((tensors[0].rows(), tensors[0].cols(), tensors[1].rows(), tensors[1].cols()), (2, 2, 1, 4));
}

#[test]
fn damage_is_named() {
    let table: &[(&str, &str, usize, &[&str])] = &[
        ("not JSON", "{\"a\":", 0, &["in the header", "EOF"]),
        ("no object", "[]      ", 0, &["does not start with"]),
        ("trailing text", "{} x", 0, &["in the header", "trailing"]),
        ("entry is a number", r#"{"a":1}"#, 0, &["tensor \"a\""]),
        ("no dtype", r#"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, 4, &["tensor \"a\"", "dtype"]),
        (
            "unknown field",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":1}}"#,
            4,
            &["tensor \"a\"", "stride"],
        ),
        (
            "repeated field",
            r#"{"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}}"#,
            4,
            &["tensor \"a\"", "duplicate field `dtype`"],
        ),
        (
            "negative dimension",
            r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
            4,
            &["tensor \"a\"", "-1"],
        ),
        (
            "rank",
            r#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#,
            4,
            &["tensor \"a\"", "8 dimensions"],
        ),
        (
            "product of dimensions",
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#,
            4,
            &["tensor \"a\"", "product of its dimensions"],
        ),
        (
            "size in bytes",
            r#"{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}"#,
            4,
            &["tensor \"a\"", "does not take 4 bytes"],
        ),
        (
            "size against shape",
            r#"{"a":{"dtype":"F16","shape":[3],"data_offsets":[0,4]}}"#,
            4,
            &["tensor \"a\"", "F16 of shape [3] does not take 4 bytes"],
        ),
        (
            "size against shape of a type that is not decoded",
            r#"{"a":{"dtype":"I64","shape":[3],"data_offsets":[0,4]}}"#,
            4,
            &["tensor \"a\"", "I64"],
        ),
        (
            "outside",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            4,
            &["tensor \"a\"", "0..8", "outside the file"],
        ),
        (
            "offsets that overflow",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551615]}}"#,
            4,
            &["tensor \"a\"", "outside the file"],
        ),
        (
            "backwards",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
            4,
            &["tensor \"a\"", "4..0"],
        ),
        (
            "overlap",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12,
            &["tensor \"b\"", "overlap", "\"a\""],
        ),
        (
            "gap",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
            12,
            &["tensor \"b\"", "4 bytes before it belong to no tensor"],
        ),
        (
            "bytes of no tensor",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            5,
            &["has 1 bytes behind its last tensor"],
        ),
        (
            "two tensors of a name",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            8,
            &["tensor \"a\"", "described twice"],
        ),
        (
            "two tensors of a name that is escaped once",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            8,
            &["tensor \"a\"", "described twice"],
        ),
        ("metadata twice", r#"{"__metadata__":{},"__metadata__":{}}"#, 0, &["\"__metadata__\"", "twice"]),
        (
            "key of metadata twice",
            r#"{"__metadata__":{"k":"1","k":"2"}}"#,
            0,
            &["\"__metadata__\"", "\"k\"", "twice"],
        ),
        ("metadata that nests", r#"{"__metadata__":{"k":[[[]]]}}"#, 0, &["\"__metadata__\"", "\"k\""]),
    ];
    for (case, header, data, parts) in table {
        match safetensors::parse(file(header, *data).as_slice(), Path::new("m.safetensors")) {
            Ok(_) => panic!("{case}: accepted"),
            Err(error) => {
                assert_says(case, &error.to_string(), parts);
                assert_says(case, &error.to_string(), &["m.safetensors"]);
            }
        }
    }
}

#[test]
fn an_absurd_header_length_is_refused_before_anything_is_allocated() {
    for length in [u64::MAX, 1 << 62, 100_000_001, 93] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.resize(100, b' ');
        let error = safetensors::parse(bytes.as_slice(), Path::new("m")).unwrap_err().to_string();
        assert_says("length", &error, &["m: ", &length.to_string(), "up to 92"]);
    }
    let error = safetensors::parse([0u8; 7].as_slice(), Path::new("m")).unwrap_err().to_string();
    assert_says("seven bytes", &error, &["it has 7 bytes"]);
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = file(SOUND, 24);
    for length in 0..bytes.len() {
        assert!(safetensors::parse(&bytes[..length], Path::new("m")).is_err(), "{length} of {}", bytes.len());
    }
}

#[test]
fn empty_tensors_and_other_types_are_listed() {
    let header = r#"{"none":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},"f8":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[0,4]},"one":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}"#;
    let tensors = safetensors::parse(file(header, 8).as_slice(), Path::new("m")).unwrap();
    let listed: Vec<_> = tensors.iter().map(|t| (t.name(), t.type_name(), t.elements(), t.rows())).collect();
    assert_eq!(listed, [("none", "F32", 0, 0), ("f8", "F8_E4M3", 4, 2), ("one", "F32", 1, 1)]);
}
