//! Servers of the system, driven by their own clients: `openssl s_server`, and `nginx` as one
//! process.

use std::process::Command;

use harness_tests::Workplace;
use harness_tests::outcome::Outcome;
use harness_tests::program::found;

fn place() -> Workplace {
    Workplace::new(env!("CARGO_BIN_EXE_session"))
}

/// `openssl s_server` with more `options`, one TLS session for each iteration.
fn tls(options: &str) -> Outcome {
    let work = place();
    let [key, certificate] = ["key.pem", "cert.pem"].map(|name| work.path(name));
    let made = Command::new(found("openssl", "openssl"))
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (key, certificate) = (key.display(), certificate.display());
    let options: Vec<_> = options.split(' ').map(|option| format!("\"{option}\"")).collect();
    let scenario = format!(
        r#"
        program = ["openssl", "s_server", "-accept", "127.0.0.1:{{port}}", "-quiet",
                   "-cert", "{certificate}", "-key", "{key}", {}]
        ready = "tcp:127.0.0.1:{{port}}"
        drive = ["openssl", "s_client", "-connect", "127.0.0.1:{{port}}", "-CAfile", "{certificate}",
                 "-verify_return_error"]
        timeout = "8s"
        "#,
        options.join(", ")
    );
    work.check(&scenario)
}

#[test]
fn a_tls_server_leaves_nothing_of_a_session() {
    let _ = tls("-tls1_3").ends_with(0).says(&["no leaks in it\n"]);
}

/// Sessions without tickets are kept, 128 of them, which is more than anybody waits for: half of the timeout.
#[test]
fn its_cache_of_sessions_is_seen_and_without_it_nothing_is_kept() {
    let kept = "    CRYPTO_zalloc  libcrypto.so.3\n    SSL_SESSION_new  libssl.so.3\n";
    let held = "held by openssl's .bss";
    let _ = tls("-tls1_2 -no_ticket").ends_with(1).says(&[kept, "reachable: 8 blocks, ", held]);
    let _ = tls("-tls1_2 -no_ticket -no_cache").ends_with(0).says(&["no leaks in it\n"]);
}

#[test]
fn a_session_that_can_not_be_is_a_drive_that_fails() {
    let failed = "drive, in iteration 1, ended with exit code 1";
    let _ = tls("-cipher aNULL -no_tls1_3")
        .ends_with(4)
        .says(&[failed, "--- what the command wrote that failed:\n"]);
}

/// `nginx` with these directives at its top, one request for each iteration.
fn nginx(directives: &str, status: u16) -> Outcome {
    let nginx = found("nginx", "nginx-light");
    let work = place();
    let folder = work.path("");
    let folder = folder.display();
    let names = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String =
        names.iter().map(|name| format!("    {name}_temp_path {folder}/{name};\n")).collect();
    // The pid file is removed by nginx when it ends: it has to be one of the test's own.
    let configuration = format!(
        "{directives}\nerror_log stderr notice;\npid {folder}/nginx.pid;\nevents {{}}\nhttp {{\n    \
         access_log off;\n{temporary}    server {{\n        listen unix:{folder}/socket;\n        \
         location / {{ return {status} \"hello\\n\"; }}\n    }}\n}}\n"
    );
    work.write("nginx.conf", &configuration);
    let scenario = format!(
        r#"
        program = ["{}", "-p", "{folder}", "-e", "stderr", "-c", "{folder}/nginx.conf"]
        ready = "unix:{folder}/socket"
        drive = ["curl", "-sSf", "--unix-socket", "{folder}/socket", "http://localhost/"]
        stop = "QUIT"
        "#,
        nginx.display()
    );
    work.check(&scenario)
}

#[test]
fn a_web_server_leaves_nothing_of_a_request() {
    let _ = nginx("daemon off; master_process off;", 200).ends_with(0).says(&["no leaks in it\n"]);
}

#[test]
fn a_request_that_is_refused_is_a_drive_that_fails() {
    let failed = "drive, in iteration 1, ended with exit code 22";
    let _ =
        nginx("daemon off; master_process off;", 500).ends_with(4).says(&[failed, "curl: (22)"]);
}

#[test]
fn a_web_server_whose_workers_answer_is_not_checked() {
    let reason = "allocated nothing while it was driven, and has processes of its own";
    let _ = nginx("daemon off;", 200).ends_with(3).says(&["not checked: ", reason]);
}
