//! What weights become in panels.

use super::{ChannelPanel, Fp8Group, Quantize, fp8, panel_bytes, unpack_row};
use crate::weights::DType;

/// What a panel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PanelType {
    /// A type that files have, complete in itself.
    File(DType),
    /// Integers of 8 bits with one scale per row ([`ChannelPanel`]).
    PerChannel,
    /// 8-bit floats with a scale for each group of inputs.
    Fp8(Fp8Group),
}

impl PanelType {
    /// Bytes of one panel with rows of `cols` inputs; `None` as for [`panel_bytes`].
    pub(crate) fn panel_bytes(self, cols: usize) -> Option<usize> {
        match self {
            Self::File(dtype) => panel_bytes(dtype, cols),
            Self::PerChannel => ChannelPanel::bytes(cols),
            Self::Fp8(group) => group.panel_bytes(cols),
        }
    }

    /// Widens row `lane` of a panel to `f32`.
    pub(crate) fn unpack_row(self, panel: &[u8], lane: usize, out: &mut [f32]) {
        match self {
            Self::File(dtype) => unpack_row(dtype, panel, out.len(), lane, out),
            Self::PerChannel => ChannelPanel::new(panel).unpack_row(lane, out),
            Self::Fp8(group) => fp8::unpack_row(group, panel, lane, out),
        }
    }
}

/// What is done with weights that a file stores as F32, F16, BF16 or F8_E4M3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Packing {
    pub(crate) quantize: Quantize,
    /// Whether those that are multiplied, and are not quantized, are rounded to int8 with one scale per row.
    pub(crate) per_channel: bool,
}

impl Packing {
    /// What rows of `stored` and `cols` elements become; `multiplied` is whether they are more than looked up, and
    /// `edges` where scales of 8-bit floats change ([`Fp8Group::within`]).
    ///
    /// # Errors
    /// As for [`Quantize::target`].
    pub(crate) fn target(
        self,
        stored: DType,
        edges: Option<(usize, usize)>,
        cols: usize,
        multiplied: bool,
    ) -> Result<PanelType, String> {
        let dtype = self.quantize.target(stored, cols)?;
        let float = matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::F8_E4M3);
        // A row of nothing has no largest value.
        let per_channel = self.per_channel && float && multiplied && cols > 0;
        Ok(match dtype {
            _ if per_channel => PanelType::PerChannel,
            // Blocks that are no whole groups of any size: rare, and then not worth kernels of their own.
            DType::F8_E4M3 => edges
                .and_then(|edges| Fp8Group::within(edges, cols))
                .map_or(PanelType::File(DType::F32), PanelType::Fp8),
            dtype => PanelType::File(dtype),
        })
    }
}
