//! Rows on the system's OpenSSL, after leaks that VPP's maintainers fixed.
//!
//! What OpenSSL's objects take is its version's: the counter counts it, and the fixture's own
//! blocks with it. With OpenSSL 3.0 and glibc 2.36 its sums were those by which valgrind's
//! definitely and indirectly lost blocks and bytes grow over the same calls.

use super::Row;

/// `test crypto` of VPP's leak and of the plugin without it, warm and cold: the forgotten key is
/// all that leaks, though the first run fills OpenSSL's caches.
pub(super) const CRYPTO: &[Row] = &[
    Row::counted("crypto_openssl_forgets_hmac_key", "test crypto", FORGOTTEN_KEY).alone(),
    Row::counted("crypto_openssl_forgets_hmac_key", "test crypto", FORGOTTEN_KEY)
        .alone()
        .over(0, 8),
    Row::keeps("crypto_openssl", "test crypto", &[]),
    Row::keeps("crypto_openssl", "test crypto", &[]).over(0, 8),
];

/// The context, its key, what it computed a digest with, and its entry in the table.
const FORGOTTEN_KEY: &[&str] = &[
    "crypto_tests::evp::HmacContext::new",
    "crypto_tests::evp::HmacContext::finish",
    "crypto_tests::keys::KeyTable::key_add",
];

pub(super) const ROWS: &[Row] = &[
    Row::counted("forgets_contexts_of_sas", "hmac", &["add_hmac"]),
    Row::counted("forgets_contexts_of_sas", "cipher", &["add_cipher"]),
    Row::counted("forgets_contexts_of_sas", "zeroing rekey", &["add_hmac", "add_cipher"]),
    Row::counted("forgets_contexts_of_sas", "rekey", &["add_cipher", "make_sa"]),
    Row::counted("forgets_keys", "profile", &["load_key"]),
    Row::counted("forgets_keys", "wrong guard", &["load_key"]),
    Row::counted("forgets_keys", "tls engine", &["add_key"]),
    Row::counted("forgets_tls_objects", "context", &["forget_context_of_session"]),
    Row::counted("forgets_tls_objects", "store", &["forget_reference_of_store"]),
    Row::counted("forgets_tls_objects", "key", &["load_key"]),
    Row::counted("forgets_tls_objects", "certificate", &["load_certificate", "load_key"]),
];
