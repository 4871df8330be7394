//! What a child was told had been written.

use model_runtime::registry::{ModelName, VersionId};
use serde::{Deserialize, Serialize};

/// One write. A `token` is the child's own and comes once in all of the test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Write {
    /// A model was registered by `token`.
    Model { name: ModelName, token: String },
    /// A number was taken by `token`.
    Begun { id: VersionId, token: String },
    /// A version became ready.
    Ready { id: VersionId },
    /// A version was deleted.
    Deleted { id: VersionId },
    /// `token` was made an alias of a version, and never moved.
    Alias { id: VersionId, token: String },
    /// A revision by `token` was appended.
    Revision { seq: u64, token: String },
    /// The id `token` was recorded.
    Update { seq: u64, token: String },
    /// The child is the one to tell the news of this round.
    Event { round: u32 },
    /// An endpoint was configured with `token`.
    Endpoint { endpoint: String, config_version: u64, token: String },
    /// The usage of the request `token` is on the disk.
    Usage { token: String },
}
