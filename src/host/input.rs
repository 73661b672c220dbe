//! Commands whose texts are any bytes, registered and run as a plugin's are. For tests and fuzz
//! targets.
//!
//! ```text
//!   pieces: [what: 1][len: 2][bytes]
//!
//!   what  0 a command's words    1 its help: registers it    2 a step that is run
//!         3 why commands fail from now on
//! ```
//! Words and help end at their first NUL, as strings of C do, and are null where they are empty.
//! The length of a reason is all that says where it ends.
//!
//! Invariant: the context of every command is a [`Failing`] that outlives the commands.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int, c_void};

use super::commands::Commands;
use super::plugins::register_all;
use super::step;
use super::tracing::Tracing;
use crate::plugin::{RawCall, RawHost};
use crate::protocol::{LONGEST, Reply};

/// Why commands fail.
#[derive(Debug, Default)]
struct Failing {
    reason: RefCell<Vec<u8>>,
}

/// Registers and runs as `bytes` say; how many commands were registered, where all were.
///
/// # Panics
/// Where a reply does not reach the parent, or the host's texts are not what they were made of.
pub(crate) fn run(bytes: &[u8]) -> Option<usize> {
    let tracing = Tracing::of_nothing();
    let failing = Failing::default();
    let mut commands = Commands::default();
    commands.show(false);
    let (mut words, mut registered, mut refused) = (&[][..], 0, false);
    let mut rest = bytes;
    while let Some(([what, low, high], behind)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        let (piece, behind) = behind.split_at(behind.len().min(len));
        rest = behind;
        match what % 4 {
            0 => words = piece,
            1 => match register(words, piece, &failing, &mut commands, &tracing) {
                Ok(()) => registered += 1,
                Err(reason) => {
                    assert!(!reason.is_empty(), "a refusal has a reason");
                    tell(Reply::Refused(reason));
                    refused = true;
                }
            },
            2 => {
                let line = String::from_utf8_lossy(piece);
                // Else it prints.
                if line != "help" {
                    tell(step(&commands, &line, &tracing, &|_| {}));
                }
            }
            _ => piece.clone_into(&mut failing.reason.borrow_mut()),
        }
    }
    let (all, help) = (commands.all(), commands.help());
    assert_eq!(all.len(), registered);
    assert!(help.lines().count() >= registered, "{help}");
    tell(Reply::Commands(all));
    (!refused).then_some(registered)
}

/// Says `reply` to a parent, which has to hear it.
fn tell(reply: Reply) {
    let reply = reply.bounded();
    let line = serde_json::to_string(&reply).unwrap_or_default();
    assert!(line.len() < LONGEST, "{} bytes are no message", line.len());
    assert_eq!(serde_json::from_str(&line).ok(), Some(reply));
}

fn register(
    words: &[u8],
    help: &[u8],
    failing: &Failing,
    commands: &mut Commands,
    tracing: &Tracing,
) -> Result<(), String> {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        CString::new(&bytes[..end]).ok().filter(|text| !text.is_empty())
    };
    let (words, help) = (text(words), text(help));
    let pointer =
        |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    let context = std::ptr::from_ref(failing).cast_mut().cast::<c_void>();
    let start = |host: *const RawHost| {
        // SAFETY: it is the host that `register_all` made.
        let register = unsafe { (*host).register_command };
        // SAFETY: the texts are NUL-terminated or null, as the header allows.
        unsafe { register(host, pointer(&words), pointer(&help), fails, context) }
    };
    register_all(start, commands, tracing)
}

/// A command: reads its arguments, and fails where there is a reason.
unsafe extern "C-unwind" fn fails(context: *mut c_void, call: *const RawCall) -> c_int {
    // SAFETY: the module's invariant.
    let failing = unsafe { &*context.cast::<Failing>() };
    // SAFETY: the host's call lives until this function returns.
    let RawCall { argc, argv, print, fail, .. } = unsafe { &*call };
    // SAFETY: the host gives `argc` words and a null behind them.
    let words = unsafe { std::slice::from_raw_parts(*argv, *argc as usize + 1) };
    assert_eq!(words.iter().position(|word| word.is_null()), Some(*argc as usize));
    let reason = failing.reason.borrow();
    // SAFETY: the reason is readable for its length, which an empty one's pointer is, too.
    unsafe { print(call, reason.as_ptr().cast::<c_char>(), reason.len()) };
    // SAFETY: as above.
    unsafe { fail(call, reason.as_ptr().cast::<c_char>(), reason.len()) };
    c_int::from(!reason.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{corpus, each_damaged};
    use crate::plugin::{self, Command};

    #[test]
    #[cfg_attr(miri, ignore = "thousands of plugins")]
    fn any_text_of_a_plugin_is_taken_or_refused() {
        for (name, bytes) in corpus("plugin") {
            assert_eq!(run(&bytes).is_some(), name == "commands", "{name}");
        }
        let mut taken = 0;
        each_damaged("plugin", 3000, |bytes| taken += usize::from(run(bytes).is_some()));
        assert!((300..2700).contains(&taken), "of 3000 {taken} have no refusal");
    }

    /// Under Miri: what the plugin holds of the call stays valid while the host answers.
    #[test]
    fn a_command_that_prints_word_by_word_and_fails_is_heard() {
        const COMMAND: Command = Command::new(c"say words", c"says them", |call| {
            call.args().for_each(|word| call.print(word));
            let (first, count) = (call.args().next(), call.args().count());
            Err(format!("{count} words after {first:?}"))
        });
        let (mut commands, tracing) = (Commands::default(), Tracing::of_nothing());
        commands.show(false);
        // SAFETY: the host that `register_all` made.
        let start = |host: *const RawHost| unsafe { plugin::register(host, &[COMMAND]) };
        register_all(start, &mut commands, &tracing).expect("it is well-formed");
        let reason = "2 words after Some(\"a\")".to_owned();
        assert_eq!(step(&commands, "say words a b", &tracing, &|_| {}), Reply::Failed(reason));
        let (failing, told) = (Failing::default(), Reply::Failed("both".into()));
        failing.reason.replace(b"both".to_vec());
        register(b"fail", b"fails", &failing, &mut commands, &tracing).expect("it is well-formed");
        assert_eq!(step(&commands, "fail a b", &tracing, &|_| {}), told);
    }

    #[test]
    #[cfg_attr(miri, ignore = "megabytes of text")]
    fn a_reason_that_is_no_text_and_longer_than_a_line_is_told() {
        let failing = Failing { reason: RefCell::new(vec![0xff; 2 << 20]) };
        let (mut commands, tracing) = (Commands::default(), Tracing::of_nothing());
        commands.show(false);
        register(b"a", b"", &failing, &mut commands, &tracing).expect("it is well-formed");
        tell(step(&commands, "a b", &tracing, &|_| {}));
        let words = vec![b'a'; 2 << 20];
        let refused =
            register(&[&words[..], b"\xff"].concat(), b"", &failing, &mut commands, &tracing);
        tell(Reply::Refused(refused.expect_err("it is no ASCII")));
        register(b"b", &words, &failing, &mut commands, &tracing).expect("a help may be anything");
        tell(Reply::Commands(commands.all()));
    }
}
