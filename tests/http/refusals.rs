//! Who may not ask is refused, and nothing has changed.

use serde_json::json;

use crate::common::http::{Http, TOKEN, served, write_token};
use crate::common::{scratch, slowfs, text_of};

const FAULT: &str = r#""hang -m rmdir""#;

#[test]
fn foreign_pages_names_and_forms_are_refused() {
    let mount = served();
    let net = Http::net(&mount);
    let own = format!("http://{}", net.addr);
    for http in [Http::socket(&mount), net.clone()] {
        for (field, value, status) in [
            ("Host", "evil.example", 403),
            ("Host", "127.0.0.1.evil.example", 403),
            ("Origin", "http://evil.example", 403),
            ("Origin", "http://localhost:1", 403),
            ("Origin", "null", 403),
            ("Content-Type", "", 415),
            ("Content-Type", "text/plain", 415),
            ("Content-Type", "application/x-www-form-urlencoded", 415),
        ] {
            let asks = http.with(field, value);
            for (method, path, body) in [
                ("PUT", "/v1/faults/slow", FAULT),
                ("POST", "/v1/faults", FAULT),
                ("PUT", "/v1/faults", "[]"),
                ("DELETE", "/v1/faults", ""),
            ] {
                let answer = asks.ask(method, path, body);
                assert_eq!(answer.status, status, "{method} {path}, {field}: {value}: {answer:?}");
                assert_eq!(answer.json()["ok"], false);
                assert_eq!(answer.field("connection"), Some("close"));
            }
            // Nor is anything told to a foreign page; what is told needs no Content-Type.
            let wanted = if status == 415 { 200 } else { 403 };
            for path in ["/v1/faults", "/metrics", "/healthz", "/"] {
                assert_eq!(asks.get(path).status, wanted, "{path}, {field}: {value}");
            }
        }
    }
    // No other page may read an answer either.
    let answer = net.with("Origin", &own).get("/v1/faults");
    assert_eq!((answer.status, answer.field("access-control-allow-origin")), (200, None));
    assert_eq!(net.told("/v1/faults")["faults"], json!([]));
    mount.wait_until_logged("which is not this mount's");
}

#[test]
fn over_tcp_only_who_has_the_token_asks() {
    let mount = served();
    let http = Http::net(&mount);
    let almost = &TOKEN[1..];
    let wrong =
        ["", "Bearer", "Bearer wrong", &format!("Basic {TOKEN}"), &format!("Bearer {almost}")];
    for given in wrong {
        let asks = http.with("Authorization", given);
        for path in ["/v1/faults", "/v1/stats", "/v1/info", "/metrics", "/nothing"] {
            let answer = asks.get(path);
            assert_eq!(answer.status, 401, "{given}: {path}: {answer:?}");
            assert!(answer.field("www-authenticate").unwrap().starts_with("Bearer"));
        }
        assert_eq!(asks.ask("PUT", "/v1/faults/slow", FAULT).status, 401, "{given}");
        // What tells nothing of the mount is open.
        assert_eq!(asks.get("/healthz").status, 200);
        assert_eq!(asks.get("/").status, 200);
    }
    assert_eq!(http.told("/v1/faults")["faults"], json!([]));
    // On the socket the kernel vouches for who asks.
    let socket = Http::socket(&mount);
    assert_eq!(socket.get("/v1/faults").status, 200);
    assert!(!mount.log_text().contains(TOKEN));
}

#[test]
fn a_token_that_others_may_read_starts_nothing() {
    let scratch = scratch();
    let [token, raw, mnt] = ["token", "raw", "mnt"].map(|name| scratch.path().join(name));
    for dir in [&raw, &mnt] {
        std::fs::create_dir(dir).unwrap();
    }
    let refused = |options: &[&str]| {
        let mut mount = slowfs();
        mount.arg("mount").args([&raw, &mnt]).args(["--listen", "none"]).args(options);
        let output = mount.output().unwrap();
        (output.status.code().unwrap(), text_of(&output))
    };
    let with = ["--http", "127.0.0.1:0", "--http-token", token.to_str().unwrap()];
    let (code, why) = refused(&with);
    assert!(code == 1 && why.contains("No such file") && why.lines().count() == 1, "{why}");
    write_token(&token, TOKEN, 0o644);
    let (code, why) = refused(&with);
    assert!(code == 1 && why.contains("its mode is 644") && why.contains("chmod 600"), "{why}");
    for half in [&with[..2], &with[2..]] {
        let (code, why) = refused(half);
        assert!(code == 2 && why.contains("--http"), "{why}");
    }
    let (code, why) = refused(&["--http", "127.0.0.1", "--http-token", "x"]);
    assert!(code == 2 && why.contains("the port is missing"), "{why}");
}
