//! The root of the preload heap's shared object; `build.rs` compiles it, no Cargo target does.

#![no_std]
#![allow(dead_code, reason = "the parent's half of the ledger is compiled too")]

mod ledger;
mod preload;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    preload::system::abort()
}
