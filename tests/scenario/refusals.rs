//! What cannot be is refused before anything has started, on any mount.

use super::common::{Mount, slowfs, text_of, wait_for};
use super::{begin, command, names, run, state};

#[test]
fn a_file_with_a_bad_line_does_nothing() {
    let mount = Mount::new();
    let text = "0s error EIO -m mkdir --name first\n\
                5 clear\n\
                6s power-cut\n\
                7s dealy 5ms -m fsync\n\
                8s list\n\
                9s clear @\n\
                60s end";
    let output = run(&mount, text);
    let told = text_of(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    for (line, part) in lines.iter().zip([
        "disk.scenario:2: 5: it has no unit",
        "disk.scenario:3: --to <NAME> is missing",
        "disk.scenario:4: there is no command dealy; did you mean delay?",
        "disk.scenario:5: list is no step",
        "disk.scenario:6: ",
    ]) {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(lines.len(), 5, "{told}");
    assert!(mount.client().run_read(0).unwrap().run.is_none());
    for (text, part) in [
        ("0s clear", "no line says when it ends"),
        ("", "no line says when it ends"),
        ("1s end", "it does nothing"),
        ("5s clear\n1s clear\n60s end", "disk.scenario:2: 1s is before the 5s of line 1"),
        ("60s clear\n60s end", "is not before the end"),
        (
            "0s kill -m all\n0s clear\n60s end",
            "disk.scenario:2: it takes away what line 1 of the same time sets; write it before that",
        ),
    ] {
        let output = run(&mount, text);
        assert!(text_of(&output).contains(part), "{part} in {}", text_of(&output));
        assert_eq!(output.status.code(), Some(2));
    }
    let twins =
        "1s kill -m rmdir --name a\n1s kill -m mkdir --name a\n1s clear a\n2s clear a\n3s end";
    let output = run(&mount, twins);
    let told = text_of(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines[0].ends_with(":2: line 1 sets a fault a at the same time already"), "{told}");
    assert!(lines[1].contains(":3: it takes away what line 2 of the same time sets"), "{told}");
    let none = slowfs().args(["run", "/none/such.scenario"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(text_of(&none).contains("/none/such.scenario: cannot read it"), "{}", text_of(&none));
}

#[test]
fn what_the_mount_refuses_starts_nowhere() {
    let (mount, other) = (Mount::new(), Mount::new());
    for (line, part) in [
        (
            "@OTHER 5s clear nothing",
            "line 2: there is no fault nothing, and no line before sets one",
        ),
        ("@OTHER 5s clear a\n@OTHER 6s kill -m mkdir --name a", "line 2: there is no fault a"),
        ("@OTHER once a fired 1: kill -m mkdir --name a", "line 2: there is no fault a"),
        (
            "@OTHER 5s clear a\n@OTHER 6s clear b",
            "sets one of that name; line 3: there is no fault b",
        ),
        ("@127.0.0.1:1 5s clear", "line 2: @127.0.0.1:1: "),
        ("@OTHER once nothing fired 5: clear", "line 2: there is no fault nothing"),
        ("@OTHER once 99 fired 5: clear", "line 2: there is no fault 99"),
        ("@/none/such 5s clear", "line 2: "),
    ] {
        let line = line.replace("OTHER", &other.addr);
        let output = run(&mount, &format!("0s error EIO -m mkdir --name first\n{line}\n60s end"));
        assert!(text_of(&output).contains(part), "{part} in {}", text_of(&output));
        assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
        for mount in [&mount, &other] {
            wait_for("nothing to run", || (state(&mut mount.client()) != "loaded").then_some(()));
            assert_ne!(state(&mut mount.client()), "running");
            assert!(names(&mut mount.client()).is_empty());
            assert!(!mount.log_text().contains("started"), "{}", mount.log_text());
        }
    }
}

#[test]
fn a_mount_takes_one_at_a_time() {
    let mount = Mount::new();
    let mut first = begin(&mount, "0s error EIO -m mkdir --name first\n60s end");
    let output = run(&mount, "0s recipe full\n60s end");
    assert_eq!(output.status.code(), Some(1));
    let told = text_of(&output);
    assert!(
        told.contains("runs scenario disk on this mount") && told.contains("`slowfs clear`"),
        "{told}"
    );
    wait_for("the first to go on", || (names(&mut mount.client()) == ["first"]).then_some(()));
    first.0.kill().unwrap();
    wait_for("its end", || (state(&mut mount.client()) == "ended").then_some(()));
    assert!(run(&mount, "0s recipe full\n50ms end").status.success());
}

#[test]
fn calls_out_of_order_are_refused() {
    let mount = Mount::new();
    let mut client = mount.client();
    let none = client.run_start().unwrap_err().to_string();
    assert!(none.contains("this connection has loaded no scenario"), "{none}");
    assert!(client.run_stop().unwrap().run.is_none());
    let bad = [
        slowfs::rpc::ScenarioWords::default(),
        slowfs::rpc::ScenarioWords { end_ns: 5, seed: Some("x".into()), ..Default::default() },
        slowfs::rpc::ScenarioWords {
            end_ns: 5,
            steps: vec![Default::default()],
            ..Default::default()
        },
    ];
    for bad in bad {
        assert!(client.run_load(&bad).is_err(), "{bad:?}");
    }
    let empty = slowfs::rpc::ScenarioWords { end_ns: 1_000_000_000, ..Default::default() };
    assert_eq!(client.run_load(&empty).unwrap().state, "loaded");
    assert_eq!(client.run_load(&empty).unwrap().state, "loaded", "another in its place");
    let taken = mount.client().run_load(&empty).unwrap_err().to_string();
    assert!(taken.contains("takes one at a time"), "{taken}");
    assert_eq!(client.run_start().unwrap().state, "running");
    assert!(client.run_start().unwrap_err().to_string().contains("it runs already"));
    assert_eq!(client.run_stop().unwrap().run.unwrap().why.as_deref(), Some("it was stopped"));
    assert!(client.run_start().unwrap_err().to_string().contains("it has ended"));
    let detached = command(&mount, "0s recipe full\n60s end").arg("--detach").status().unwrap();
    assert!(detached.success());
    assert_eq!(state(&mut client), "running");
    assert!(client.run_stop().unwrap().run.is_none(), "it is of another connection");
    mount.clear();
}
