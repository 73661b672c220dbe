//! Whole pages: what they say, and that nothing in them is taken for markup.

use super::*;
