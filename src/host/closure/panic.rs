//! A panic in a scenario: its message, and where it was.

use std::any::Any;
use std::cell::RefCell;

thread_local! {
    /// Where this thread panicked last.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on panics leave their place; whoever was told of them before still is.
pub(in crate::host) fn keep_places() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // A thread that ends has no place for it any longer, and nobody who asks.
        let _ = PLACE.try_with(|place| {
            *place.borrow_mut() = info.location().map(ToString::to_string);
        });
        others(info);
    }));
}

/// What is said of a panic of this thread.
pub(super) fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("with no message");
    match PLACE.take() {
        Some(place) => format!("it panicked at {place}: {text}"),
        None => format!("it panicked: {text}"),
    }
}
