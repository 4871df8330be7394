//! Packing changes no value and hardly any size.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::weights::dequantize;

pub(crate) const ALL: [DType; 13] = [
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::Q8_0,
    DType::Q4_0,
    DType::Q4_1,
    DType::Q5_0,
    DType::Q5_1,
    DType::Q2K,
    DType::Q3K,
    DType::Q4K,
    DType::Q5K,
    DType::Q6K,
];

/// Equal bits; any NaN is as good as another.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Packs rows, widens them both ways and compares with the decoder of the loader.
fn check(dtype: DType, rows: &[&[u8]], cols: usize) {
    let mut panel = vec![0xa5; panel_bytes(dtype, cols).unwrap()];
    pack_panel(dtype, rows, cols, &mut panel);
    let mut whole = vec![f32::NAN; cols * PANEL];
    unpack_panel(dtype, &panel, cols, &mut whole);
    let (mut expected, mut row) = (vec![0.0; cols], vec![f32::NAN; cols]);
    for lane in 0..PANEL {
        expected.fill(0.0);
        if let Some(bytes) = rows.get(lane) {
            dequantize(dtype, bytes, &mut expected).unwrap();
        }
        unpack_row(dtype, &panel, cols, lane, &mut row);
        for k in 0..cols {
            let found = whole[k * PANEL + lane];
            let fits = |found| if lane < rows.len() { same(found, expected[k]) } else { found == 0.0 };
            assert!(fits(found), "{dtype} lane {lane} k {k}: {found} against {}", expected[k]);
            assert!(fits(row[k]), "{dtype} row {lane} k {k}: {} against {}", row[k], expected[k]);
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The reference blocks of the loader's tests, each rotated through the lanes.
#[test]
fn reference_blocks_survive() {
    let fixture = include_bytes!("../../../../tests/data/gguf/block-dequant.json");
    let fixture: Value = serde_json::from_slice(fixture).unwrap();
    for dtype in ALL {
        let bytes = unhex(fixture["types"][dtype.name()]["bytes"].as_str().unwrap());
        let blocks: Vec<&[u8]> = bytes.chunks_exact(dtype.block_bytes()).collect();
        let rows: Vec<&[u8]> = blocks.iter().copied().cycle().take(PANEL).collect();
        check(dtype, &rows, dtype.block_elements());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_survive(
        format in 0..ALL.len(),
        rows in 1..=PANEL,
        blocks in 1..5usize,
        bytes in prop::collection::vec(any::<u8>(), PANEL * 4 * 210),
    ) {
        let dtype = ALL[format];
        let rows: Vec<&[u8]> = bytes.chunks_exact(blocks * dtype.block_bytes()).take(rows).collect();
        check(dtype, &rows, blocks * dtype.block_elements());
    }
}

#[test]
fn odd_widths_of_floats() {
    let bytes: Vec<u8> = (0..172 * 4 * PANEL).map(|i| (i * 131 % 251) as u8).collect();
    for dtype in &ALL[..3] {
        for cols in [1, 2, 3, 15, 16, 17, 31, 33, 172] {
            let rows: Vec<&[u8]> = bytes.chunks_exact(cols * dtype.block_bytes()).take(PANEL).collect();
            check(*dtype, &rows, cols);
        }
    }
}

#[test]
fn sizes() {
    for dtype in ALL {
        let layout = Layout::of(dtype);
        if let Some(layout) = layout {
            assert_eq!(layout.elements, dtype.block_elements());
            assert_eq!(layout.file_bytes, dtype.block_bytes());
        }
        assert_eq!(layout.is_some(), dtype.block_elements() > 1);
        for cols in [256, 1024, 4096] {
            let file = dtype.bytes_for(16 * cols as u64).unwrap() as f64;
            let packed = panel_bytes(dtype, cols).unwrap() as f64;
            assert!(packed <= 1.15 * file, "{dtype}: {packed} bytes for {file}");
        }
        assert_eq!(panel_bytes(dtype, 0), Some(0));
    }
    assert_eq!(panel_bytes(DType::Q4K, 2048), Some(8 * 2368));
    assert_eq!(panel_bytes(DType::Q3K, 256), Some(1824));
    assert_eq!(panel_bytes(DType::Q6K, 256), Some(3360));
    assert_eq!(panel_bytes(DType::BF16, 3), Some(128));
    assert_eq!(panel_bytes(DType::Q8_0, 33), None);
    assert_eq!(panel_bytes(DType::Other, 32), None);
    assert_eq!(panel_bytes(DType::F32, usize::MAX), None);
    assert_eq!(panel_bytes(DType::BF16, usize::MAX), None);
}

/// The places that the layout's description names, written out by hand for one step of one lane.
#[test]
fn bits_lie_where_the_description_says() {
    // Q5_0: code 31 at k = 21 (step 5, byte 1), all others zero.
    let mut row = [0; 22];
    row[2..6].copy_from_slice(&(1u32 << 21).to_le_bytes());
    row[6 + 5] = 0xf0;
    let zero = [0; 22];
    let mut panel = vec![0; panel_bytes(DType::Q5_0, 32).unwrap()];
    pack_panel(DType::Q5_0, &[&zero, &zero, &zero, &row], 32, &mut panel);
    let set: Vec<(usize, u8)> = panel.iter().copied().enumerate().filter(|(_, byte)| *byte != 0).collect();
    // Step 5 lies in the high nibbles of register 1; its high bits are the sixth u64, bit 4 * 3 + 1.
    assert_eq!(set, [(32 + 64 + 4 * 3 + 1, 0xf0), (32 + 256 + 8 * 5 + 1, 1 << 5)]);

    // Q2_K: code 3 at k = 128 + 32 + 18 (group 5, step 4, byte 2) of lane 15.
    let mut row = [0; 84];
    row[16 + 32 + 18] = 3 << 2;
    let zero = [0; 84];
    let mut rows = [&zero[..]; 16];
    rows[15] = &row;
    let mut panel = vec![0; panel_bytes(DType::Q2K, 256).unwrap()];
    pack_panel(DType::Q2K, &rows, 256, &mut panel);
    let set: Vec<(usize, u8)> = panel.iter().copied().enumerate().filter(|(_, byte)| *byte != 0).collect();
    assert_eq!(set, [(32 + 32 + 256 + 5 * 128 + 64 + 4 * 15 + 2, 3)]);
}
