//! NumPy's `.npy` format, version 1.0: a header of text, then the values row by row.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of the header, its prefix included: a multiple of 64, with room for any shape.
const HEADER: usize = 128;

/// A matrix of `float32` that grows row by row. It has its name when it is whole: until then it is `NAME.part`.
pub(crate) struct NpyWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    rows: u64,
    width: usize,
}

impl NpyWriter {
    /// Begins a file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut file = BufWriter::new(File::create(&part)?);
        file.write_all(&header(0, 0))?;
        Ok(Self { path: path.into(), part, file, rows: 0, width: 0 })
    }

    /// Appends a row, as wide as those before it.
    pub(crate) fn push(&mut self, row: &[f32]) -> io::Result<()> {
        if self.rows > 0 && row.len() != self.width {
            let message =
                format!("row {} has {} values, those before it {}", self.rows, row.len(), self.width);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        (self.width, self.rows) = (row.len(), self.rows + 1);
        row.iter().try_for_each(|value| self.file.write_all(&value.to_le_bytes()))
    }

    /// Writes the shape, which is known only now, and gives the file its name.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header(self.rows, self.width))?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.part, &self.path)
    }
}

/// Magic and version, the length of what follows, and a Python dictionary padded with spaces up to a line end.
fn header(rows: u64, width: usize) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    let length = HEADER - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{text:<0$}\n", length - 1).into_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_header_is_aligned_whatever_the_shape() {
        for (rows, width) in [(0, 0), (1, 384), (u64::MAX, usize::MAX)] {
            let bytes = header(rows, width);
            assert_eq!((bytes.len(), bytes.last()), (HEADER, Some(&b'\n')));
            let stated = u16::from_le_bytes([bytes[8], bytes[9]]);
            assert_eq!(usize::from(stated) + 10, HEADER);
        }
    }

    #[test]
    fn a_file_is_what_numpy_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut writer = NpyWriter::create(&path).unwrap();
        writer.push(&[1.0, -2.5, 0.1]).unwrap();
        writer.push(&[3.0, f32::MIN_POSITIVE, 6.0]).unwrap();
        assert!(writer.push(&[1.0]).is_err());
        assert!(!path.exists());
        writer.finish().unwrap();
        // numpy.save of the same array, numpy 2.3.
        let mut expected = b"\x93NUMPY\x01\x00v\x00".to_vec();
        expected.extend(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
        expected.resize(HEADER - 1, b' ');
        expected.push(b'\n');
        let values = [1.0, -2.5, 0.1, 3.0, f32::MIN_POSITIVE, 6.0];
        expected.extend(values.iter().flat_map(|value: &f32| value.to_le_bytes()));
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
