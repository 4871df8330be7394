//! What is asked of an encoder.

/// Lengths of the mixed workload: 24 texts of 8 to 512 tokens, 7,271 in all.
const MIXED: [usize; 24] = [
    440, 205, 396, 463, 223, 28, 140, 502, 269, 256, 215, 478, 409, 432, 163, 503, 252, 191, 306, 464, 472,
    119, 266, 79,
];

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Workload {
    /// One caller with texts of one length.
    Batch { texts: usize, length: usize },
    /// One caller with texts of mixed lengths.
    Mixed,
    /// Callers with one text of 16 tokens, each of whom asks again as soon as the answer is there.
    Callers { callers: usize },
    /// So many callers at once with one text of 16 tokens, once.
    Crowd { callers: usize },
    /// The same texts from one caller.
    Alone { texts: usize },
}

impl Workload {
    /// Everything that is measured.
    pub(crate) fn all(crowd: usize) -> Vec<Self> {
        let mut all = Vec::new();
        for length in [16, 128, 512] {
            all.extend([1, 8, 32].map(|texts| Self::Batch { texts, length }));
        }
        all.extend([
            Self::Mixed,
            Self::Callers { callers: 16 },
            Self::Crowd { callers: crowd },
            Self::Alone { texts: crowd },
        ]);
        all
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Batch { texts, length } => format!("{length} x {texts}"),
            Self::Mixed => "mixed".into(),
            Self::Callers { callers } => format!("{callers} callers"),
            Self::Crowd { callers } => format!("{callers} callers, once"),
            Self::Alone { texts } => format!("16 x {texts}"),
        }
    }

    /// Lengths of all texts.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        match *self {
            Self::Batch { texts, length } => vec![length; texts],
            Self::Mixed => MIXED.to_vec(),
            Self::Callers { callers: texts } | Self::Crowd { callers: texts } | Self::Alone { texts } => {
                vec![16; texts]
            }
        }
    }

    /// The rival's workload that it is compared with.
    pub(crate) fn rivals(&self) -> Option<Self> {
        match self {
            Self::Batch { .. } | Self::Mixed => Some(self.clone()),
            // Without somebody who batches them, callers wait for one another.
            Self::Callers { .. } | Self::Crowd { .. } => Some(Self::Batch { texts: 1, length: 16 }),
            Self::Alone { .. } => None,
        }
    }
}
