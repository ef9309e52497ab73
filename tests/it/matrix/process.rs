//! What is run, as whom, with what around it.

use serde_json::json;

use super::frame::Matrix;

#[test]
fn commands_entry_points_and_health_checks_come_back_as_they_were() {
    let mut matrix = Matrix::new();
    let image = matrix.image(
        "rich",
        &[
            "ENTRYPOINT [\"/bin/sh\", \"-c\", \"exec \\\"$@\\\"\", \"-\"]",
            "CMD [\"sleep\", \"1000000\"]",
            "ENV FROM_IMAGE=yes",
            "ENV EMPTY_IN_IMAGE=\"\"",
            "USER nobody",
            "WORKDIR /tmp",
            "EXPOSE 80 8080/udp",
            "LABEL from.image=yes from.image.empty=",
            "VOLUME [\"/kept\"]",
            "HEALTHCHECK --interval=1s --timeout=5s --retries=2 CMD true",
        ],
    );
    let shell = matrix.image("shell", &["CMD exec sleep 1000000", "ENTRYPOINT [\"\"]"]);
    let only = matrix.image("only", &["ENTRYPOINT [\"sleep\", \"1000000\"]", "CMD []"]);
    let run = |matrix: &mut Matrix, name: &str, image: &str, options: &[&str], command: &[&str]| {
        matrix.run_image(name, image, options, command);
    };
    let m = &mut matrix;
    run(m, "all-from-image", &image, &[], &[]);
    run(m, "emptied", &image, &["--entrypoint", "", "--no-healthcheck"], &["sleep", "1000000"]);
    run(m, "other-command", &image, &["-e", "FROM_IMAGE=", "-l", "from.image="], &["sleep", "99999"]);
    run(m, "other-entry", &image, &["--entrypoint", "sleep", "-u", "0", "-w", "/"], &["77777"]);
    run(m, "only-entry", &only, &[], &[]);
    run(m, "no-command", &image, &["--entrypoint", "sh", "-dit", "--health-interval", "2s"], &[]);
    run(m, "shell-form", &shell, &["--stop-timeout", "0", "--stop-signal", "KILL"], &[]);
    run(m, "odd-words", &shell, &[], &["sh", "-c", "exec sleep '1000000' # \"$X\" `y` \\ \n ü", "", "a b"]);
    m.api(
        "empty-entry",
        json!({ "Image": image, "Entrypoint": [], "Cmd": ["sleep", "1000"], "StopTimeout": null }),
    );
    m.api(
        "health-words",
        json!({ "Cmd": ["sleep", "1000"], "Healthcheck": {
            "Test": ["CMD", "true", "", "a b"], "Interval": 1_000_000_000_i64, "Timeout": 2_000_000_000_i64,
            "StartPeriod": 3_000_000_000_i64, "Retries": 4
        }, "Env": ["FOO", "PATH=/bin", "A=B=C"], "Tty": true, "ExposedPorts": { "1/sctp": {} } }),
    );
    m.run(
        "health-shell",
        &[
            "--health-cmd",
            "test -e / || exit 1",
            "--health-interval",
            "1s",
            "--health-start-period",
            "5s",
            "--health-retries",
            "3",
        ],
        &[],
    );
    matrix.round_trip(|_| {});
}

#[test]
fn names_environment_and_policies_come_back_as_they_were() {
    let mut m = Matrix::new();
    m.run(
        "environment",
        &[
            "-e",
            "EMPTY=",
            "-e",
            "LINES=one\ntwo\n",
            "-e",
            "UNICODE=čaj ☕ 日本",
            "-e",
            "EQUALS=a=b==c",
            "-e",
            "QUOTES='\"$HOME\\",
        ],
        &[],
    );
    m.run(
        "labels",
        &[
            "-l",
            "empty=",
            "-l",
            "bare",
            "-l",
            "unicode=ü\n☕",
            "-l",
            "com.docker.compose.project=p",
            "-l",
            "com.docker.compose.service=s",
            "-l",
            "json={\"a\": [1, \"$x\"]}",
        ],
        &[],
    );
    m.run("restart-no", &["--restart", "no", "-it"], &["sh"]);
    m.run("restart-always", &["--restart", "always", "--init"], &[]);
    m.run("restart-unless-stopped", &["--restart", "unless-stopped", "--init=false"], &[]);
    m.run("restart-on-failure", &["--restart", "on-failure:7", "-i"], &["cat"]);
    m.run("removes-itself", &["--rm", "-v", "/anonymous"], &[]);
    m.run(
        "identity",
        &[
            "-u",
            "1000:65534",
            "--group-add",
            "7",
            "--group-add",
            "0",
            "-w",
            "/tmp/made/here",
            "-h",
            "box",
            "--domainname",
            "example.org",
        ],
        &[],
    );
    m.run("host-namespaces", &["--pid", "host", "--uts", "host", "--ipc", "host"], &[]);
    let shares = m.run("shares", &["--ipc", "shareable"], &[]);
    let (ipc, pid) = (format!("container:{shares}"), format!("container:{shares}"));
    m.run("joins", &["--ipc", &ipc, "--pid", &pid], &[]);
    m.run(
        "resolver",
        &[
            "--add-host",
            "one:10.0.0.1",
            "--add-host",
            "six:fe80::1",
            "--add-host",
            "gate:host-gateway",
            "--dns",
            "10.0.0.53",
            "--dns",
            "1.1.1.1",
            "--dns-search",
            "example.org",
            "--dns-search",
            ".",
            "--dns-option",
            "ndots:2",
        ],
        &[],
    );
    m.round_trip(|_| {});
}
