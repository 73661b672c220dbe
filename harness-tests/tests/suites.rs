//! The tests of real programs, and long sessions with them, without the heap and on it, traced:
//! the results are the same.

#[path = "suites/git.rs"]
mod git;
#[path = "suites/openssl.rs"]
mod openssl;
#[path = "suites/python.rs"]
mod python;
#[path = "suites/sqlite.rs"]
mod sqlite;
#[path = "suites/twins.rs"]
mod twins;
