//! The tests of real programs, and long sessions with them, without the heap and on it, traced:
//! the results are the same.

#[path = "suites/python.rs"]
mod python;
