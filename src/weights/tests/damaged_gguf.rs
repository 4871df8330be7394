//! GGUF files that contradict themselves: every error names what is at fault.

use std::path::Path;

use super::assert_says;
use super::build::{Gguf, array, entry, string, tensor};
use crate::weights::{DType, gguf};

type Damage = fn(&mut Gguf);

#[test]
fn a_sound_file_is_accepted_in_both_versions() {
    for version in [2, 3] {
        let file = Gguf { version, ..Gguf::sound() };
        let header = gguf::parse(file.bytes().as_slice(), Path::new("m.gguf")).unwrap();
        assert_eq!(header.version, version);
        assert_eq!(header.metadata.require_str("general.architecture").unwrap(), "llama");
        assert_eq!(header.metadata.require_str_array("tokenizer.ggml.tokens").unwrap(), ["x", "yz"]);
        let shapes: Vec<_> =
            header.tensors.iter().map(|t| (t.name(), t.dtype(), t.shape().to_vec())).collect();
        assert_eq!(shapes, [("a", DType::F32, vec![2, 4]), ("b", DType::Q4_0, vec![32])]);
    }
}

#[test]
fn damage_is_named() {
    let nested = |levels: usize| {
        let mut value = array(0, 0, &[]);
        for _ in 1..levels {
            value = array(9, 1, &value);
        }
        value
    };
    let table: &[(&str, Damage, &[&str])] = &[
        ("magic", |f| f.magic = *b"GGML", &["m.gguf", "does not start with \"GGUF\""]),
        ("version 1", |f| f.version = 1, &["version 1", "2 and 3"]),
        ("big endian", |f| f.version = 3u32.swap_bytes(), &["big-endian"]),
        (
            "tensor count",
            |f| f.tensor_count = Some(u64::MAX),
            &["the number of tensors", "18446744073709551615"],
        ),
        ("tensor count, off by some", |f| f.tensor_count = Some(90), &["tensor"]),
        ("entry count", |f| f.entry_count = Some(1 << 60), &["the number of metadata entries"]),
        (
            "key longer than the file",
            |f| f.entries[0].key = 60_000u64.to_le_bytes().to_vec(),
            &["the name of metadata entry 0", "60000"],
        ),
        (
            "absurd key",
            |f| f.entries[1].key = u64::MAX.to_le_bytes().to_vec(),
            &["metadata entry 1", "65535"],
        ),
        (
            "key that is no text",
            |f| f.entries[0].key = string([0xff, 0xfe]),
            &["the name of metadata entry 0", "UTF-8"],
        ),
        (
            "string longer than the file",
            |f| f.entries[0].value = (1u64 << 40).to_le_bytes().to_vec(),
            &["\"general.architecture\"", "1099511627776"],
        ),
        (
            "string that is no text",
            |f| f.entries[0].value = string([b'a', 0xc3]),
            &["\"general.architecture\"", "UTF-8"],
        ),
        ("value type", |f| f.entries[1].tag = 13, &["\"llama.block_count\"", "value type 13"]),
        ("bool", |f| f.entries.push(entry("flag", 7, [2])), &["\"flag\"", "a bool of value 2"]),
        (
            "array element type",
            |f| f.entries.push(entry("list", 9, array(99, 1, &[]))),
            &["\"list\"", "array element type 99"],
        ),
        (
            "array longer than the file",
            |f| f.entries.push(entry("list", 9, array(4, 1 << 61, &[]))),
            &["\"list\"", "2305843009213693952 elements"],
        ),
        (
            "array of more strings than can be there",
            |f| f.entries.push(entry("list", 9, array(8, 1 << 20, &[]))),
            &["\"list\"", "1048576 strings"],
        ),
        (
            "array of more arrays than can be there",
            |f| f.entries.push(entry("list", 9, array(9, 1 << 20, &[]))),
            &["\"list\"", "1048576 arrays"],
        ),
        (
            "differing repetition",
            |f| f.entries.push(entry("llama.block_count", 4, 3u32.to_le_bytes())),
            &["\"llama.block_count\"", "twice"],
        ),
        (
            "repetition of another type",
            |f| f.entries.push(entry("llama.block_count", 10, 2u64.to_le_bytes())),
            &["\"llama.block_count\"", "twice"],
        ),
        ("repeated array", |f| f.entries.push(f.entries[2].clone()), &["\"tokenizer.ggml.tokens\"", "twice"]),
        (
            "alignment 0",
            |f| f.entries.push(entry("general.alignment", 4, 0u32.to_le_bytes())),
            &["\"general.alignment\"", "powers of two"],
        ),
        (
            "alignment 48",
            |f| f.entries.push(entry("general.alignment", 4, 48u32.to_le_bytes())),
            &["\"general.alignment\"", "alignment of 48"],
        ),
        (
            "alignment that is no number",
            |f| f.entries.push(entry("general.alignment", 8, string("32"))),
            &["\"general.alignment\"", "it is a string"],
        ),
        (
            "alignment beyond the file",
            |f| f.entries.push(entry("general.alignment", 4, (1u32 << 31).to_le_bytes())),
            &["tensor \"b\"", "not a multiple of the alignment 2147483648"],
        ),
        ("two tensors of a name", |f| f.tensors[1].name = "a".into(), &["tensor \"a\"", "described twice"]),
        ("rank", |f| f.tensors[0].dimensions = vec![1; 9], &["tensor \"a\"", "9 dimensions"]),
        (
            "product of dimensions",
            |f| f.tensors[0].dimensions = vec![1 << 32, 1 << 32],
            &["tensor \"a\"", "product of its dimensions"],
        ),
        (
            "product of dimensions behind a zero",
            |f| f.tensors[0].dimensions = vec![1 << 32, 0, 1 << 32],
            &["tensor \"a\"", "product of its dimensions"],
        ),
        ("size in bytes", |f| f.tensors[0].dimensions = vec![1 << 62], &["tensor \"a\"", "overflow"]),
        (
            "negative dimension",
            |f| f.tensors[0].dimensions = vec![-4i64 as u64],
            &["tensor \"a\"", "product of its dimensions"],
        ),
        (
            "absurd dimension",
            |f| f.tensors[0].dimensions = vec![1 << 40],
            &["tensor \"a\"", "outside the file"],
        ),
        (
            "ragged block",
            |f| f.tensors[1].dimensions = vec![33],
            &["tensor \"b\"", "33", "whole blocks of 32 (Q4_0)"],
        ),
        ("scalar in blocks", |f| f.tensors[1].dimensions = vec![], &["tensor \"b\"", "whole blocks of 32"]),
        ("offset out of step", |f| f.tensors[1].offset = 33, &["tensor \"b\"", "offset 33", "alignment 32"]),
        ("offset outside", |f| f.tensors[1].offset = 1 << 20, &["tensor \"b\"", "outside the file"]),
        (
            "offset that overflows",
            |f| f.tensors[1].offset = u64::MAX - 31,
            &["tensor \"b\"", "outside the file"],
        ),
        ("overlap", |f| f.tensors[1].offset = 0, &["overlap", "\"a\"", "\"b\""]),
        ("truncated data", |f| f.data.truncate(49), &["tensor \"b\"", "outside the file"]),
    ];
    for (case, damage, parts) in table {
        let mut file = Gguf::sound();
        damage(&mut file);
        match gguf::parse(file.bytes().as_slice(), Path::new("m.gguf")) {
            Ok(_) => panic!("{case}: accepted"),
            Err(error) => {
                assert_says(case, &error.to_string(), parts);
                assert_says(case, &error.to_string(), &["m.gguf"]);
            }
        }
    }
    let mut file = Gguf::sound();
    file.entries.push(entry("deep", 9, nested(4)));
    gguf::parse(file.bytes().as_slice(), Path::new("m.gguf")).unwrap();
    file.entries.push(entry("deeper", 9, nested(5)));
    let error = gguf::parse(file.bytes().as_slice(), Path::new("m.gguf")).unwrap_err().to_string();
    assert_says("nesting", &error, &["\"deeper\"", "nest deeper than 4"]);
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = Gguf::sound().bytes();
    for length in 0..bytes.len() {
        assert!(gguf::parse(&bytes[..length], Path::new("m.gguf")).is_err(), "{length} of {}", bytes.len());
    }
}

#[test]
fn an_equal_repeated_scalar_changes_nothing() {
    let mut file = Gguf::sound();
    file.entries.push(entry("llama.block_count", 4, 2u32.to_le_bytes()));
    let header = gguf::parse(file.bytes().as_slice(), Path::new("m.gguf")).unwrap();
    assert_eq!(header.metadata.require_u32("llama.block_count").unwrap(), 2);
}

#[test]
fn a_file_may_have_no_tensors() {
    let mut file = Gguf::sound();
    file.tensors.clear();
    file.data.clear();
    assert!(gguf::parse(file.bytes().as_slice(), Path::new("m.gguf")).unwrap().tensors.is_empty());
}

#[test]
fn types_that_are_not_decoded_are_listed_by_name() {
    let mut file = Gguf::sound();
    file.tensors = vec![
        tensor("f", &[4], 0, 0),
        tensor("ids", &[4], 27, 32),
        tensor("iq", &[256], 23, 64),
        tensor("new", &[7, 3], 4711, 224),
        tensor("last", &[2], 0, 288),
    ];
    file.data = vec![0; 296];
    let header = gguf::parse(file.bytes().as_slice(), Path::new("m.gguf")).unwrap();
    let listed: Vec<_> = header.tensors.iter().map(|t| (t.dtype(), t.type_name(), t.bytes())).collect();
    assert_eq!(
        listed,
        [
            (DType::F32, "F32", 16),
            (DType::Other, "I64", 32),
            (DType::Other, "IQ4_XS", 136),
            // Of unknown size: up to the next tensor.
            (DType::Other, "number 4711", 64),
            (DType::F32, "F32", 8),
        ]
    );
    file.tensors[1].offset = 0;
    let error = gguf::parse(file.bytes().as_slice(), Path::new("m.gguf")).unwrap_err().to_string();
    assert_says("overlap with a type that is not decoded", &error, &["\"ids\"", "overlap"]);
}
