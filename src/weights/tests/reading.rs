//! Reading rows, compared with the reference implementation of the format.

use std::fs;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

use super::build::Gguf;
use super::{assert_says, data};
use crate::weights::{Checkpoint, DType, WeightsError};

/// The elements of a tensor as the `safetensors` crate finds them, widened one by one.
fn widened(tensor: &safetensors::tensor::TensorView<'_>) -> Vec<f32> {
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn safetensors_read_as_the_reference_reads_them() {
    for name in
        ["tiny/llama2", "tiny/llama3", "tiny/llama3_2", "tiny/mistral", "../../examples/models/stories260K"]
    {
        let directory = data(name);
        let checkpoint = Checkpoint::open(&directory).unwrap();
        let mut compared = 0;
        for file in fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()) {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            if !stem.starts_with("model") || file.extension().unwrap() != "safetensors" {
                continue;
            }
            let bytes = fs::read(&file).unwrap();
            for (tensor_name, expected) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
                let tensor = checkpoint.tensor(&tensor_name).unwrap();
                assert_eq!(tensor.shape(), expected.shape(), "{tensor_name}");
                let mut raw = vec![0; tensor.bytes() as usize];
                checkpoint.read_rows(tensor, 0..tensor.rows(), &mut raw).unwrap();
                assert!(raw == expected.data(), "{tensor_name}");
                let mut values = vec![0.0f32; tensor.elements()];
                checkpoint.read_rows_f32(tensor, 0..tensor.rows(), &mut values).unwrap();
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert!(bits(&values) == bits(&widened(&expected)), "{tensor_name}");
                compared += 1;
            }
        }
        assert_eq!(compared, checkpoint.tensors().count(), "{name}");
        assert!(compared > 10, "{name}");
    }
}

/// Any split of the rows into calls gives the same values, also across the pieces that are decoded at a time.
#[test]
fn rows_do_not_depend_on_how_they_are_asked_for() {
    let checkpoint = Checkpoint::open(&data("gguf/tiny-llama-256-Q6_K.gguf")).unwrap();
    for tensor in checkpoint.tensors() {
        let mut whole = vec![0.0f32; tensor.elements()];
        checkpoint.read_rows_f32(tensor, 0..tensor.rows(), &mut whole).unwrap();
        let mut start = 0;
        for step in [1, 7, 2, 31, 64].into_iter().cycle() {
            if start == tensor.rows() {
                break;
            }
            let end = tensor.rows().min(start + step);
            let mut rows = vec![0.0f32; (end - start) * tensor.cols()];
            checkpoint.read_rows_f32(tensor, start..end, &mut rows).unwrap();
            assert!(
                rows == whole[start * tensor.cols()..end * tensor.cols()],
                "{} {start}..{end}",
                tensor.name()
            );
            start = end;
        }
    }
}

#[test]
fn more_than_one_piece_is_decoded() {
    let rows = 40_000;
    let header = format!(r#"{{"w":{{"dtype":"F16","shape":[{rows},5],"data_offsets":[0,{}]}}}}"#, rows * 10);
    let dir = TempDir::new().unwrap();
    let mut bytes = super::build::safetensors(&header, 0);
    let value = |element: usize| f16::from_f32((element % 2000) as f32 - 1000.0);
    bytes.extend((0..rows * 5).flat_map(|element| value(element).to_le_bytes()));
    fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let tensor = checkpoint.tensor("w").unwrap();
    let mut values = vec![0.0f32; (rows - 1) * 5];
    checkpoint.read_rows_f32(tensor, 1..rows, &mut values).unwrap();
    for (element, found) in values.iter().enumerate() {
        assert_eq!(*found, value(element + 5).to_f32(), "element {element}");
    }
}

#[test]
fn wrong_rows_and_buffers_are_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("m.gguf");
    fs::write(&path, Gguf::sound().bytes()).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let a = checkpoint.tensor("a").unwrap();
    assert_eq!((a.dtype(), a.row_bytes()), (DType::F32, Some(16)));
    let mut row = [0.0; 4];
    checkpoint.read_rows_f32(a, 1..2, &mut row).unwrap();
    assert_eq!(row, [5.0, 6.0, 7.0, 8.0]);
    checkpoint.read_rows_f32(a, 2..2, &mut []).unwrap();

    #[allow(clippy::reversed_empty_ranges)]
    for rows in [1..3, 3..3, 2..1, 0..usize::MAX] {
        let error = checkpoint.read_rows_f32(a, rows.clone(), &mut row).unwrap_err();
        assert!(matches!(error, WeightsError::Rows { .. }), "{rows:?}: {error}");
        assert!(checkpoint.read_rows(a, rows, &mut []).is_err());
    }
    let error = checkpoint.read_rows_f32(a, 0..2, &mut row).unwrap_err().to_string();
    assert_eq!(error, "reading tensor \"a\": the buffer holds 4 elements, 8 are needed");
    let error = checkpoint.read_rows(a, 0..1, &mut [0; 15]).unwrap_err().to_string();
    assert_eq!(error, "reading tensor \"a\": the buffer holds 15 bytes, 16 are needed");

    let mut row = [0.0; 32];
    checkpoint.read_rows_f32(checkpoint.tensor("b").unwrap(), 0..1, &mut row).unwrap();
    assert_eq!((row[..16].to_vec(), row[16..].to_vec()), (vec![1.0; 16], vec![-8.0; 16]));
}

#[test]
fn a_description_of_another_checkpoint_is_refused() {
    let one = Checkpoint::open(&data("gguf/tiny-llama-256-Q6_K.gguf")).unwrap();
    let other = Checkpoint::open(&data("gguf/tiny-llama-256-Q4_0.gguf")).unwrap();
    let foreign = other.tensor("blk.0.attn_q.weight").unwrap();
    let error = one.read_rows_f32(foreign, 0..1, &mut vec![0.0; foreign.cols()]).unwrap_err().to_string();
    assert_says("foreign", &error, &["Q6_K.gguf", "tensor \"blk.0.attn_q.weight\""]);
}

#[test]
fn a_file_that_was_cut_is_an_error_and_not_a_signal() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("m.gguf");
    fs::write(&path, Gguf::sound().bytes()).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
    let error = checkpoint.read_rows_f32(checkpoint.tensor("a").unwrap(), 0..1, &mut [0.0; 4]).unwrap_err();
    assert!(matches!(error, WeightsError::Changed { found: 100, .. }), "{error}");
}

#[test]
fn threads_read_at_once() {
    let checkpoint = Checkpoint::open(&data("tiny/llama3")).unwrap();
    let tensor = checkpoint.tensors().max_by_key(|t| t.bytes()).unwrap();
    let mut whole = vec![0.0f32; tensor.elements()];
    checkpoint.read_rows_f32(tensor, 0..tensor.rows(), &mut whole).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (checkpoint, whole) = (&checkpoint, &whole);
            scope.spawn(move || {
                let mut row = vec![0.0f32; tensor.cols()];
                for index in (thread..tensor.rows()).step_by(4) {
                    checkpoint.read_rows_f32(tensor, index..index + 1, &mut row).unwrap();
                    assert!(row == whole[index * tensor.cols()..][..tensor.cols()]);
                }
            });
        }
    });
}
