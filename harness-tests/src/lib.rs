//! Everything together: the harness on the fixtures.
