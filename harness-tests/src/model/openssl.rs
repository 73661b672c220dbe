//! Rows on the system's OpenSSL, after leaks that VPP's maintainers fixed.
//!
//! What OpenSSL's objects take is its version's: the counter counts it, and the fixture's own
//! blocks with it. With OpenSSL 3.0 and glibc 2.36 its sums were those by which valgrind's
//! definitely and indirectly lost blocks and bytes grow over the same calls.

use super::{Row, lost};

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

/// IKEv2 SAs that come up on OpenSSL and go down, after leaks of the same IKEv2 in the protocol
/// itself. The plugin that frees all runs every case, cold.
pub(super) const IKEV2: &[Row] = &[
    Row::keeps("ikev2_openssl", "test ikev2", &[]).over(0, 4),
    Row::keeps("ikev2_openssl", "ikev2 reload profile", &[]),
    Row::counted("ikev2_openssl_forgets", "contexts", CONTEXTS_AFTER_USE),
    Row::fails(
        "ikev2_openssl_forgets",
        "buffers",
        &[
            lost("ikev2_tests::prf::Nonces::of", 2.0, 64.0),
            lost("ikev2_tests::prf::Pieces::take", 1.0, 32.0),
        ],
    ),
    Row::counted("ikev2_openssl_forgets", "reload profile", &["ikev2_tests::pkey::Pkey::from_der"]),
    // The request of 156 bytes, a nonce and an HMAC.
    Row::fails(
        "ikev2_openssl_forgets",
        "fail auth",
        &[lost("ikev2_tests::auth::signed_octets", 1.0, 220.0)],
    ),
    Row::counted(
        "ikev2_openssl_forgets",
        "fail auth certificate",
        &["ikev2_tests::certificate::Certificate::from_der"],
    ),
    Row::counted("ikev2_openssl_forgets", "rekey", REPLACED_SA),
    Row::counted("ikev2_openssl_forgets", "rekey child", CONTEXTS),
];

const CONTEXTS: &[&str] =
    &["crypto_tests::evp::CipherContext::new", "crypto_tests::evp::HmacContext::new"];

/// An HMAC's contexts, and what the first digest is computed with.
const CONTEXTS_AFTER_USE: &[&str] = &[
    "crypto_tests::evp::CipherContext::new",
    "crypto_tests::evp::HmacContext::new",
    "crypto_tests::evp::HmacContext::finish",
];

/// Both halves: contexts, salts, nonces, and SK_d.
const REPLACED_SA: &[&str] = &[
    "crypto_tests::evp::CipherContext::new",
    "ikev2_tests::prf::Nonces::of",
    "ikev2_tests::prf::Pieces::take",
    "ikev2_tests::sealing::Sealing::new",
];
