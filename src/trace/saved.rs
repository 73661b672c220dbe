//! The array that `save memory-trace` writes, in VPP and in this crate's host.
//!
//! ```json
//! [{"count":3,"bytes":312,"sample":"0x7f6bbc569f00","traceback":["CRYPTO_zalloc + 0x9","0x7f6bb9df7acd"]}]
//! ```
//! The source of the form is VPP 25.06 itself: `fixtures/vpp/` holds two files of one of its
//! sessions. A traceback is innermost first; a frame is `symbol + 0xoffset`, or a bare address where
//! VPP knew no symbol. This crate writes `libcrypto.so.3 + 0xoffset` where it knows the module alone,
//! and `<generated code>` where not even that. Other members are passed over, `sample` among them.

use std::io::{self, Write};

use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use super::object::Object;
use super::{Form, Live, Trace, TraceError, plain, wrong_json};
use crate::report::Frame;
use crate::report::table::{TableRow, sorted, symbol};

const FORM: &str =
    "a saved memory trace is an array of objects with `count`, `bytes` and `traceback`";

/// How snapshots name code without a symbol: its address is another one in every process.
const UNKNOWN: &str = "<unknown code>";

#[derive(Deserialize)]
struct Element {
    count: u64,
    bytes: u64,
    traceback: Vec<String>,
}

/// An element as it is written: `sample` is for people, who look there with a debugger.
#[derive(Serialize)]
struct Written<'a> {
    count: u64,
    bytes: u64,
    sample: String,
    traceback: &'a [String],
}

/// Writes `rows`, the largest first.
///
/// # Errors
/// Where `out` does not take them.
pub(crate) fn write(rows: &[TableRow], mut out: impl Write) -> io::Result<()> {
    let mut array = serde_json::Serializer::new(&mut out);
    let mut elements = array.serialize_seq(None)?;
    let mut traceback: Vec<String> = Vec::new();
    for row in sorted(rows) {
        traceback.resize_with(row.frames.len(), String::new);
        for (frame, text) in row.frames.iter().zip(&mut traceback) {
            text.clear();
            symbol(frame, text);
        }
        let sample = format!("{:#x}", row.sample);
        let TableRow { count, bytes, .. } = *row;
        elements.serialize_element(&Written { count, bytes, sample, traceback: &traceback })?;
    }
    elements.end()?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Reads `text`, which errors call `name`.
pub(super) fn parse(name: &str, text: &[u8]) -> Result<Trace, TraceError> {
    let elements: Vec<Object<Element>> =
        serde_json::from_slice(text).map_err(|error| wrong_json(name, FORM, &error))?;
    let mut trace = Trace::new(Form::Saved);
    for (index, Object(element)) in elements.into_iter().enumerate() {
        add(&mut trace, element).map_err(|problem| {
            let number = index + 1;
            TraceError::Wrong(format!("{name}: element {number}: {problem}; save it again"))
        })?;
    }
    Ok(trace)
}

fn add(trace: &mut Trace, element: Element) -> Result<(), String> {
    let Element { count, bytes, traceback } = element;
    let key: Vec<String> = traceback.iter().map(|text| text.trim().to_owned()).collect();
    plain(&key)?;
    let frame = |(index, text): (usize, &String)| {
        let number = index + 1;
        read(text)
            .map_err(|problem| format!("frame {number} of its traceback, `{text}`, {problem}"))
    };
    let frames = key.iter().enumerate().map(frame).collect::<Result<_, _>>()?;
    trace.add(key, frames, Live { objects: count, bytes })
}

fn read(text: &str) -> Result<Frame, &'static str> {
    let number = |digits: &str| {
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
    };
    let (name, offset) = if text.is_empty() {
        return Err("is empty");
    } else if let Some(digits) = text.strip_prefix("0x") {
        (None, number(digits).ok_or("is no address")?)
    } else if let Some((name, digits)) = text.rsplit_once(" + 0x") {
        (Some(name), number(digits).ok_or("has no offset of 64 bits behind ` + 0x`")?)
    } else {
        (Some(text), 0)
    };
    // No symbol is called like a shared object.
    let is_module = |name: &&str| name.ends_with(".so") || name.contains(".so.");
    let module = name.filter(is_module).map(Into::into);
    let function = name.filter(|_| module.is_none()).map(Into::into);
    Ok(Frame { function, module, offset, ..Frame::default() })
}

/// `frame` as the file has it: for people, who look it up in their build.
pub(super) fn as_written(frame: &Frame) -> Frame {
    let text = match (frame.function.as_ref().or(frame.module.as_ref()), frame.offset) {
        (Some(name), 0) => name.to_string(),
        (Some(name), offset) => format!("{name} + {offset:#x}"),
        (None, address) => format!("{address:#x}"),
    };
    Frame { function: Some(text.into()), module: None, ..frame.clone() }
}

/// `frame` without what is another one in the next process.
pub(super) fn without_address(frame: &Frame) -> Frame {
    match frame.module {
        None if frame.function.is_none() => {
            Frame { function: Some(UNKNOWN.into()), ..frame.clone() }
        }
        _ => frame.clone(),
    }
}
