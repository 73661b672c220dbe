/*
 * Uses libcrypto ROUNDS times and frees everything: uses_openssl WHAT ROUNDS
 * WHAT is mixed: an X25519 secret, an ECDSA signature on P-256 and its check, a digest, a cipher;
 * or evp: a digest, an HMAC and AES-256-GCM over a small buffer, each with a context of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define MUST(call)                                                          \
    do {                                                                    \
        if ((call) <= 0) {                                                  \
            fprintf(stderr, "uses_openssl:%d: %s\n", __LINE__, #call);      \
            ERR_print_errors_fp(stderr);                                    \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

static unsigned char const message[64] = "a message that is signed, digested and sealed";
static unsigned char const key[32] = "a key of not quite 32 bytes";
static unsigned char const nonce[16] = "not used twice";

static void derive(EVP_PKEY *ours, EVP_PKEY *theirs)
{
    unsigned char secret[32];
    size_t length = sizeof secret;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(ours, NULL);
    MUST(context != NULL);
    MUST(EVP_PKEY_derive_init(context));
    MUST(EVP_PKEY_derive_set_peer(context, theirs));
    MUST(EVP_PKEY_derive(context, secret, &length));
    EVP_PKEY_CTX_free(context);
}

static void sign_and_verify(EVP_PKEY *pair)
{
    unsigned char signature[128];
    size_t length = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    MUST(context != NULL);
    MUST(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, pair));
    MUST(EVP_DigestSign(context, signature, &length, message, sizeof message));
    EVP_MD_CTX_free(context);
    context = EVP_MD_CTX_new();
    MUST(context != NULL);
    MUST(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, pair));
    MUST(EVP_DigestVerify(context, signature, length, message, sizeof message));
    EVP_MD_CTX_free(context);
}

static void digest(void)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    MUST(context != NULL);
    MUST(EVP_DigestInit_ex(context, EVP_sha256(), NULL));
    MUST(EVP_DigestUpdate(context, message, sizeof message));
    MUST(EVP_DigestFinal_ex(context, sum, NULL));
    EVP_MD_CTX_free(context);
}

static void authenticate(EVP_MAC *hmac)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    size_t length;
    OSSL_PARAM const parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    MUST(context != NULL);
    MUST(EVP_MAC_init(context, key, sizeof key, parameters));
    MUST(EVP_MAC_update(context, message, sizeof message));
    MUST(EVP_MAC_final(context, sum, &length, sizeof sum));
    EVP_MAC_CTX_free(context);
}

static void encrypt(EVP_CIPHER const *cipher)
{
    unsigned char sealed[sizeof message + EVP_MAX_BLOCK_LENGTH];
    int length, rest;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    MUST(context != NULL);
    MUST(EVP_EncryptInit_ex(context, cipher, NULL, key, nonce));
    MUST(EVP_EncryptUpdate(context, sealed, &length, message, sizeof message));
    MUST(EVP_EncryptFinal_ex(context, sealed + length, &rest));
    EVP_CIPHER_CTX_free(context);
}

static void mixed(long rounds)
{
    EVP_PKEY *ours = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY *theirs = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    MUST(ours != NULL && theirs != NULL && pair != NULL);
    for (long i = 0; i < rounds; i++) {
        derive(ours, theirs);
        sign_and_verify(pair);
        digest();
        encrypt(EVP_aes_128_cbc());
    }
    EVP_PKEY_free(pair);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(ours);
}

static void evp(long rounds)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    MUST(hmac != NULL);
    for (long i = 0; i < rounds; i++) {
        digest();
        authenticate(hmac);
        encrypt(EVP_aes_256_gcm());
    }
    EVP_MAC_free(hmac);
}

int main(int count, char **words)
{
    if (count == 3 && strcmp(words[1], "mixed") == 0)
        mixed(atol(words[2]));
    else if (count == 3 && strcmp(words[1], "evp") == 0)
        evp(atol(words[2]));
    else
        return 2;
    return 0;
}
