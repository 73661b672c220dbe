//! A module record: a loaded object, kept when it is first seen, so that it has a name after it
//! was closed.
//!
//! ```text
//!   0      8      16     24           26               28          60     1024
//!   [start][end  ][bias ][path length][build-id length][build id  ][path ]
//! ```

/// Bytes of a record.
pub(crate) const RECORD: usize = 1024;

/// The longest build id that is kept.
pub(crate) const MAX_BUILD_ID: usize = 32;

/// The longest path that is kept.
pub(crate) const MAX_PATH: usize = RECORD - PATH_AT;

/// The module number of an address that no module has.
pub(crate) const NO_MODULE: u16 = 0;

/// Offset of the address where the object's mapping starts.
pub(crate) const START_AT: usize = 0;
/// Offset of the address where it ends.
pub(crate) const END_AT: usize = 8;
/// Offset of the difference between addresses in memory and in the object's file.
pub(crate) const BIAS_AT: usize = 16;
/// Offset of the path's length.
pub(crate) const PATH_LEN_AT: usize = 24;
/// Offset of the build id's length.
pub(crate) const BUILD_ID_LEN_AT: usize = 26;
/// Offset of the build id.
pub(crate) const BUILD_ID_AT: usize = 28;
/// Offset of the path.
pub(crate) const PATH_AT: usize = BUILD_ID_AT + MAX_BUILD_ID;

const _: () = assert!(MAX_PATH > 900, "paths fit");
