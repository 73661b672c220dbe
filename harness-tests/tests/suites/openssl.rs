//! OpenSSL's commands: what is certain is compared byte for byte, what is random is checked by
//! another command, and by the other folder's too.

use crate::twins::Twins;

/// Nothing of the system's configuration; times are given where they matter.
const CONFIGURATION: &str = "
[req]
distinguished_name = name
prompt = no
[name]
CN = leaksnap test
[authority]
basicConstraints = critical, CA:true
keyUsage = keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:false
subjectAltName = DNS:localhost
[ca]
default_ca = this
[this]
database = index.txt
new_certs_dir = .
serial = serial
crlnumber = crlnumber
policy = any
default_md = sha256
default_days = 30
unique_subject = no
[any]
commonName = supplied
";

/// A folder for each, with a configuration and a text.
fn twins() -> Twins {
    let twins = Twins::new(&[("OPENSSL_CONF", "openssl.cnf"), ("LC_ALL", "C")]);
    twins.write("openssl.cnf", CONFIGURATION);
    let text: String =
        (0..5000).map(|line| format!("line {line}, {}\n", line * 7919 % 1009)).collect();
    twins.write("text", &text);
    twins
}

/// The commands of `lines`, one a line, which end with `code`; all their output is the same.
#[track_caller]
fn same(twins: &Twins, lines: &str, code: i32) -> String {
    let mut all = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        all += &twins.same(&words(line), code);
    }
    all
}

/// The commands of `lines`, which end with 0 and write what is random.
#[track_caller]
fn random(twins: &Twins, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let both = twins.run(&words(line), b"");
        assert_eq!(both.code, 0, "{line}: {}", both.errors());
    }
}

fn words(line: &str) -> Vec<&str> {
    std::iter::once("openssl").chain(line.split_whitespace()).collect()
}

#[test]
fn digests_and_ciphers() {
    let twins = twins();
    for digest in ["sha1", "sha256", "sha512", "sha3-384", "blake2b512", "md5", "shake256", "sm3"] {
        same(&twins, &format!("dgst -{digest} text\ndgst -{digest} -r text openssl.cnf"), 0);
    }
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    for cipher in ["aes-256-cbc", "aes-256-ctr", "aes-256-ofb", "chacha20", "camellia-256-cbc"] {
        let with = format!("enc -{cipher} -K {key} -iv 000102030405060708090a0b0c0d0e0f");
        same(&twins, &format!("{with} -in text -out {cipher}\n{with} -d -in {cipher}"), 0);
        twins.same_file(cipher);
    }
    let told = same(
        &twins,
        "enc -aes-128-cbc -pbkdf2 -S 0102030405060708 -pass pass:word -a -in text -out sealed
         enc -aes-128-cbc -pbkdf2 -S 0102030405060708 -pass pass:word -a -d -in sealed
         dgst -sha256 -mac HMAC -macopt hexkey:0102 text
         kdf -keylen 40 -kdfopt digest:SHA2-256 -kdfopt key:secret -kdfopt salt:salt -kdfopt info:label HKDF
         mac -macopt hexkey:000102030405060708090a0b0c0d0e0f -macopt cipher:AES-128-CBC -in text CMAC
         base64 -in text
         prime 1000003
         ciphers -v
         list -digest-algorithms
         asn1parse -genstr UTF8STRING:text
         errstr 0A000086",
        0,
    );
    assert!(told.contains("line 4999, ") && told.contains("is prime"), "{:.500}", told);
    same(
        &twins,
        "enc -aes-128-cbc -pbkdf2 -pass pass:other -a -d -in sealed\ndgst -sha256 nothing",
        1,
    );
}

#[test]
fn keys_and_signatures() {
    let twins = twins();
    for (name, options) in [
        ("rsa", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("p256", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("ed25519", "-algorithm ED25519"),
    ] {
        random(&twins, &format!("genpkey {options} -out {name}.pem"));
        twins.copy_from_native(&format!("{name}.pem"));
        let text = same(
            &twins,
            &format!(
                "pkey -in {name}.pem -text
                 pkey -in {name}.pem -check -noout
                 pkey -in {name}.pem -pubout -out {name}.pub
                 pkey -in {name}.pem -outform DER -out {name}.der
                 asn1parse -in {name}.pem"
            ),
            0,
        );
        assert!(text.contains("Key is valid"), "{text}");
        twins.same_file(&format!("{name}.pub"));
        twins.same_file(&format!("{name}.der"));
        random(&twins, &format!("pkeyutl -sign -inkey {name}.pem -rawin -in text -out {name}.sig"));
        let verify =
            format!("pkeyutl -verify -pubin -inkey {name}.pub -rawin -in text -sigfile {name}.sig");
        assert!(same(&twins, &verify, 0).contains("Verified Successfully"));
        // What is signed on the heap is verified without it, and the other way round.
        twins.exchange(&format!("{name}.sig"));
        assert!(same(&twins, &verify, 0).contains("Verified Successfully"));
        let wrong = verify.replace("-in text", "-in openssl.cnf");
        same(&twins, &wrong, 1);
    }
    // RSA's PKCS #1 signatures and Ed25519's have nothing random.
    twins.same_file("rsa.sig");
    twins.same_file("ed25519.sig");
    random(&twins, "pkcs8 -topk8 -in p256.pem -passout pass:word -out sealed.pem");
    twins.exchange("sealed.pem");
    same(&twins, "pkcs8 -in sealed.pem -passin pass:word", 0);
    // What it decrypts to by chance decides where it fails: both have to read one file.
    twins.copy_from_native("sealed.pem");
    same(&twins, "pkcs8 -in sealed.pem -passin pass:other", 1);
    random(
        &twins,
        "genpkey -algorithm X25519 -out one.pem\ngenpkey -algorithm X25519 -out two.pem",
    );
    for name in ["one.pem", "two.pem"] {
        twins.copy_from_native(name);
    }
    same(
        &twins,
        "pkey -in one.pem -pubout -out one.pub
         pkey -in two.pem -pubout -out two.pub
         pkeyutl -derive -inkey one.pem -peerkey two.pub -out one.secret
         pkeyutl -derive -inkey two.pem -peerkey one.pub -out two.secret",
        0,
    );
    twins.same_file("one.secret");
    twins.same_file("two.secret");
}

#[test]
fn certificates_and_messages() {
    let twins = twins();
    for name in ["ca", "server"] {
        random(&twins, &format!("genpkey -algorithm RSA -out {name}.key"));
        twins.copy_from_native(&format!("{name}.key"));
    }
    twins.write("index.txt", "");
    twins.write("serial", "1000\n");
    twins.write("crlnumber", "01\n");
    // With their times given, certificates signed by RSA are certain to the byte.
    let times = "-startdate 20240101000000Z -enddate 20990101000000Z";
    let told = same(
        &twins,
        &format!(
            "req -new -key ca.key -subj /CN=authority -out ca.csr
             req -new -key server.key -subj /CN=localhost -out server.csr
             req -in server.csr -noout -text -verify
             ca -batch -notext -selfsign -keyfile ca.key -in ca.csr -extensions authority {times} -out ca.pem
             ca -batch -notext -cert ca.pem -keyfile ca.key -in server.csr -extensions server {times} -out server.pem
             x509 -in server.pem -noout -text -fingerprint -sha256
             verify -CAfile ca.pem server.pem
             verify -CAfile ca.pem -x509_strict -verify_hostname localhost server.pem
             crl2pkcs7 -nocrl -certfile ca.pem -certfile server.pem -out both.p7b
             pkcs7 -in both.p7b -print_certs
             ca -cert ca.pem -keyfile ca.key -gencrl -crl_lastupdate 20240101000000Z -crl_nextupdate 20990101000000Z -out ca.crl
             crl -in ca.crl -text -noout
             verify -CAfile ca.pem -CRLfile ca.crl -crl_check server.pem"
        ),
        0,
    );
    assert_eq!(told.matches("server.pem: OK").count(), 3, "{told}");
    for name in ["ca.csr", "ca.pem", "server.pem", "both.p7b", "ca.crl", "index.txt"] {
        twins.same_file(name);
    }
    same(&twins, "verify -CAfile ca.pem -verify_hostname example.org server.pem", 2);
    same(&twins, "verify server.pem", 2);
    // A certificate of its own, whose times are those of now.
    random(&twins, "req -x509 -newkey rsa:2048 -noenc -keyout own.key -days 2 -out own.pem");
    twins.exchange("own.pem");
    same(&twins, "verify -CAfile own.pem own.pem", 0);

    random(
        &twins,
        "cms -sign -in text -signer server.pem -inkey server.key -certfile ca.pem -out signed.cms
         smime -sign -in text -signer server.pem -inkey server.key -nodetach -out signed.smime
         cms -encrypt -aes256 -in text -out sealed.cms server.pem
         smime -encrypt -aes256 -in text -out sealed.smime server.pem
         pkcs12 -export -inkey server.key -in server.pem -certfile ca.pem -passout pass:word -out server.p12
         ts -query -data text -sha256 -cert -no_nonce -out query.tsq",
    );
    for name in ["signed.cms", "signed.smime", "sealed.cms", "sealed.smime", "server.p12"] {
        twins.exchange(name);
    }
    let told = same(
        &twins,
        "cms -verify -in signed.cms -CAfile ca.pem -purpose any
         smime -verify -in signed.smime -CAfile ca.pem -purpose any
         cms -decrypt -in sealed.cms -inkey server.key -recip server.pem
         smime -decrypt -in sealed.smime -inkey server.key -recip server.pem
         pkcs12 -in server.p12 -passin pass:word -noenc
         ts -query -in query.tsq -text",
        0,
    );
    assert_eq!(told.matches("line 4999, ").count(), 4, "{:.500}", told);
    same(&twins, "cms -verify -in signed.cms -CAfile own.pem -purpose any -out nothing", 4);
    same(&twins, "pkcs12 -in server.p12 -passin pass:other -noenc", 1);
}

/// A server and a client: both are started by the shell, and followed. `read` waits for the server.
const TALK: &str = r#"
mkfifo said
openssl s_server -accept 127.0.0.1:0 -cert own.pem -key own.key -naccept 1 -rev $1 >said 2>server.err &
exec 3<said
while read -r word address <&3 && [ "$word" != ACCEPT ]; do :; done
printf 'one line\nCLOSE\n' | openssl s_client -quiet -verify_quiet $1 \
    -CAfile own.pem -verify_return_error -connect "$address" 2>client.err
echo "the client: $?"
wait $!
echo "the server: $?"
rm said
"#;

#[test]
fn a_server_and_a_client() {
    let twins = twins().option("--follow");
    random(&twins, "req -x509 -newkey rsa:2048 -noenc -keyout own.key -days 2 -out own.pem");
    for version in ["-tls1_2", "-tls1_3"] {
        let words = ["sh", "-c", TALK, "talk", version];
        let both = twins.run(&words, b"");
        let expected = "enil eno\nthe client: 0\nthe server: 0\n";
        assert_eq!(both.expect_same(&words, 0), expected, "{}", both.errors());
        assert_eq!(both.started.iter().filter(|name| *name == "openssl").count(), 2, "{both:?}");
    }
}
