//! One more program in a running container.

use std::io::{Read, Write};

use drydock_node::client::ExecStdio;
use drydock_node::protocol::{ExecSpec, RefusalKind};

use crate::world::{world, world_of_users};

#[tokio::test]
async fn an_exec_sees_the_containers_files_processes_and_name() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    world.start(world.script("c", "pod", "echo here > /mark; sleep 100")).await;
    let script = "while [ ! -s /mark ]; do sleep 0.01; done; cat /mark /etc/hostname; echo oops >&2; exit 4";
    let said = world.exec("c", script).await;
    assert_eq!(String::from_utf8_lossy(&said.output), "here\npod-host\noops\n");
    assert_eq!((said.exit.code, said.exit.timed_out), (4, false));
    let said = world.exec("c", "cat /proc/1/cmdline | tr '\\0' ' '").await;
    assert!(String::from_utf8_lossy(&said.output).contains("sleep 100"));
    world.end().await;
}

#[tokio::test]
async fn an_exec_has_no_more_power_than_the_container() {
    let Some(world) = world_of_users().await else { return };
    world.sandbox("pod").await;
    let mut spec = world.script("c", "pod", "sleep 100");
    spec.user.uid = Some(1000);
    spec.security.no_new_privs = true;
    world.start(spec).await;
    let said = world.exec("c", "id -u; while read a b; do case $a in CapEff:|NoNewPrivs:|Seccomp:) echo $b;; esac; done < /proc/self/status").await;
    assert_eq!(String::from_utf8_lossy(&said.output), "1000\n0000000000000000\n1\n2\n");
    world.end().await;
}

#[tokio::test]
async fn an_exec_that_takes_too_long_is_killed() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    world.start(world.script("c", "pod", "sleep 100")).await;
    let spec = ExecSpec {
        container: "c".to_owned(),
        args: vec!["sleep".to_owned(), "100".to_owned()],
        timeout_ms: Some(50),
        ..Default::default()
    };
    let said = world.client.exec_output(spec, 0).await.unwrap();
    assert_eq!((said.exit.code, said.exit.timed_out), (137, true));
    world.end().await;
}

#[tokio::test]
async fn an_exec_of_nothing_is_refused() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    world.start(world.script("c", "pod", "sleep 100")).await;
    let exec = |container: &str| ExecSpec {
        container: container.to_owned(),
        args: vec!["nonsense".to_owned()],
        ..Default::default()
    };
    let kind = |error: drydock_node::client::Error| error.refusal().unwrap().kind;
    let refused = world.client.exec_output(exec("c"), 0).await.unwrap_err();
    assert_eq!(kind(refused), RefusalKind::CannotRun);
    let refused = world.client.exec_output(exec("nobody"), 0).await.unwrap_err();
    assert_eq!(kind(refused), RefusalKind::NotFound);
    world.end().await;
}

#[tokio::test]
async fn many_execs_at_once_each_get_their_own_answer() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    world.start(world.script("c", "pod", "sleep 100")).await;
    let scripts: Vec<String> = (0..50).map(|number| format!("echo {number}; exit {number}")).collect();
    let answers = futures::future::join_all(scripts.iter().map(|script| world.exec("c", script))).await;
    for (number, said) in answers.iter().enumerate() {
        assert_eq!(said.exit.code as usize, number);
        assert_eq!(said.output, format!("{number}\n").into_bytes());
    }
    world.end().await;
}

#[tokio::test]
async fn an_exec_with_a_terminal_has_one() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    world.start(world.script("c", "pod", "sleep 100")).await;
    let spec = ExecSpec {
        container: "c".to_owned(),
        args: ["bash", "-c", "[ -t 0 ] && [ -t 1 ] && read word && echo got $word"]
            .map(str::to_owned)
            .to_vec(),
        tty: true,
        ..Default::default()
    };
    let mut session = world.client.exec(spec, ExecStdio::null().unwrap()).await.unwrap();
    let mut terminal = std::fs::File::from(session.terminal.take().unwrap());
    terminal.write_all(b"anchor\n").unwrap();
    assert_eq!(session.wait().await.unwrap().code, 0);
    // The end of the other side reads as an error, after all that was written.
    let mut said = Vec::new();
    let _ = terminal.read_to_end(&mut said);
    assert_eq!(String::from_utf8_lossy(&said), "anchor\r\ngot anchor\r\n");
    world.end().await;
}
