//! The root of the preload heap's shared object; `build.rs` compiles it, no Cargo target does.

#![no_std]
#![allow(dead_code, reason = "the parent's half of the ledger is compiled too")]

mod ledger;
mod preload;

// The prebuilt core has unwind tables that name it, though nothing here unwinds. Hidden: were it
// exported, a program that links Rust's std dynamically would find this one first.
core::arch::global_asm!(
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality, %function",
    "rust_eh_personality:",
    ".long 0",
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    preload::system::abort()
}
