//! Programs run, print, end, and are limited.

use drydock_node::protocol::{RefusalKind, Resources, Rlimit, UserSpec};

use crate::world::{world, world_of_users};

#[tokio::test]
async fn what_a_program_prints_is_in_its_log_line_by_line() {
    let Some(mut world) = world().await else { return };
    assert_eq!(world.say("echo hello; echo oops >&2; printf unfinished").await.lines().count(), 3);
    let log = std::fs::read_to_string(world.log_path("c")).unwrap();
    let mut marks: Vec<&str> =
        log.lines().filter_map(|line| line.split_once(' ')).map(|(_, rest)| rest).collect();
    marks.sort_unstable();
    assert_eq!(marks, ["stderr F oops", "stdout F hello", "stdout F unfinished"]);
    world.end().await;
}

#[tokio::test]
async fn a_programs_exit_code_is_told() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    let (_, exit) = world.run(world.script("c", "pod", "exit 7")).await;
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (7, None, false));
    assert!(exit.started_unix_ms.unwrap() <= exit.finished_unix_ms);
    world.end().await;
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_refused_in_runcs_words() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    let mut spec = world.script("c", "pod", "");
    spec.args = vec!["nonsense".to_owned()];
    let error = world.client.create_container(spec).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.kind, RefusalKind::CannotRun);
    assert_eq!(refusal.message, "exec: \"nonsense\": executable file not found in $PATH");
    assert_eq!(world.client.list().await.unwrap().containers, []);
    world.end().await;
}

#[tokio::test]
async fn a_file_that_is_no_program_fails_at_the_start() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    let script = "printf 'not a program' > /data/x; chmod +x /data/x";
    let volume = world.dir.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    let mount = crate::volumes::bind(&volume, "/data");
    let mut first = world.script("a", "pod", script);
    first.mounts = vec![mount.clone()];
    world.run(first).await;
    let mut second = world.script("b", "pod", "");
    second.mounts = vec![mount];
    second.args = vec!["/data/x".to_owned()];
    world.client.create_container(second).await.unwrap();
    let error = world.client.start_container("b").await.unwrap_err();
    assert_eq!(error.refusal().unwrap().message, "exec: \"/data/x\": exec format error");
    assert_eq!(world.exit_of("b").await.code, 128);
    world.end().await;
}

#[tokio::test]
async fn a_signal_reaches_the_program() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    let script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    world.start(world.script("c", "pod", script)).await;
    while !std::fs::read_to_string(world.log_path("c")).is_ok_and(|log| log.contains("ready")) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    world.client.signal_container("c", libc::SIGTERM).await.unwrap();
    assert_eq!(world.exit_of("c").await.code, 3);
    world.end().await;
}

#[tokio::test]
async fn a_killed_program_is_told_as_killed() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    world.start(world.script("c", "pod", "sleep 100")).await;
    world.client.signal_container("c", libc::SIGKILL).await.unwrap();
    let exit = world.exit_of("c").await;
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, Some(9), false));
    world.end().await;
}

#[tokio::test]
async fn a_program_that_takes_too_much_memory_is_killed_and_the_reason_told() {
    let Some(mut world) = world().await else { return };
    if world.client.ping().await.unwrap().cgroups == "none" {
        eprintln!("SKIPPED: no writable cgroups");
        return world.end().await;
    }
    world.sandbox("pod").await;
    let mut spec = world.script("c", "pod", "perl -e '$x = \"a\" x 200_000_000; sleep 100'");
    spec.args = vec!["perl".into(), "-e".into(), "$x = 'a' x 200_000_000; sleep 100".into()];
    spec.resources.memory_bytes = Some(32 << 20);
    let (_, exit) = world.run(spec).await;
    assert_eq!((exit.code, exit.oom_killed), (137, true));
    world.end().await;
}

#[tokio::test]
async fn the_number_of_processes_is_limited() {
    let Some(mut world) = world().await else { return };
    if world.client.ping().await.unwrap().cgroups == "none" {
        eprintln!("SKIPPED: no writable cgroups");
        return world.end().await;
    }
    world.sandbox("pod").await;
    let mut spec =
        world.script("c", "pod", "(sleep 0 & sleep 0 & sleep 0 & sleep 0 & sleep 0 & wait) 2>&1; exit 0");
    spec.resources.pids = Some(3);
    let (output, _) = world.run(spec).await;
    assert!(output.contains("fork"), "{output}");
    world.end().await;
}

#[tokio::test]
async fn a_program_can_read_its_own_memory_limit() {
    let Some(mut world) = world().await else { return };
    if world.client.ping().await.unwrap().cgroups == "none" {
        eprintln!("SKIPPED: no writable cgroups");
        return world.end().await;
    }
    world.sandbox("pod").await;
    let files = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max";
    let mut spec = world.script("c", "pod", &format!("cat {files} 2>/dev/null"));
    spec.resources.memory_bytes = Some(48 << 20);
    assert_eq!(world.run(spec).await.0, format!("{}\n", 48 << 20));
    world.end().await;
}

#[tokio::test]
async fn a_running_container_gets_other_limits() {
    let Some(world) = world().await else { return };
    if world.client.ping().await.unwrap().cgroups == "none" {
        eprintln!("SKIPPED: no writable cgroups");
        return world.end().await;
    }
    world.sandbox("pod").await;
    let mut spec = world.script("c", "pod", "sleep 100");
    spec.resources.memory_bytes = Some(48 << 20);
    world.start(spec).await;
    let limits = |bytes: u64| Resources { memory_bytes: Some(bytes), ..Resources::default() };
    world.client.resize_container("c", limits(96 << 20)).await.unwrap();
    world.client.resize_container("c", limits(32 << 20)).await.unwrap();
    let refused = world.client.resize_container("c", limits(4096)).await.unwrap_err();
    assert!(refused.to_string().starts_with("cannot resize `c`: "), "{refused}");
    let absent = world.client.resize_container("d", limits(1 << 20)).await.unwrap_err();
    assert_eq!(absent.to_string(), "container `d` does not exist");
    world.end().await;
}

#[tokio::test]
async fn usage_is_told() {
    let Some(world) = world().await else { return };
    if world.client.ping().await.unwrap().cgroups == "none" {
        eprintln!("SKIPPED: no writable cgroups");
        return world.end().await;
    }
    world.sandbox("pod").await;
    world.start(world.script("c", "pod", "sleep 100")).await;
    let stats = world.client.stats("c").await.unwrap();
    assert!(stats.memory_usage_bytes > 0 && stats.cpu_usage_ns > 0 && stats.pids >= 1, "{stats:?}");
    world.end().await;
}

#[tokio::test]
async fn an_images_user_brings_its_group_and_home() {
    let Some(mut world) = world_of_users().await else { return };
    world.sandbox("pod").await;
    let mut spec = world.script("c", "pod", "id -u; id -g; id -G; echo $HOME $HOSTNAME");
    spec.user = UserSpec { user: Some("ann".to_owned()), ..Default::default() };
    let (output, _) = world.run(spec).await;
    assert_eq!(output, "1000\n1001\n1001 2000\n/home/ann pod-host\n");
    world.end().await;
}

#[tokio::test]
async fn a_user_who_is_not_root_can_write_to_its_own_stdout_by_name() {
    let Some(mut world) = world_of_users().await else { return };
    world.sandbox("pod").await;
    let mut spec = world.script("c", "pod", "echo through > /dev/stdout");
    spec.user.uid = Some(1000);
    assert_eq!(world.run(spec).await.0, "through\n");
    world.end().await;
}

#[tokio::test]
async fn environment_directory_and_limits_are_as_asked() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    let mut spec = world.script("c", "pod", "echo $GREETING; echo $PWD; ulimit -n");
    spec.env = vec![("GREETING".to_owned(), "ahoy".to_owned())];
    spec.cwd = Some("/made/for/it".into());
    spec.resources.rlimits = vec![Rlimit { name: "nofile".to_owned(), soft: 77, hard: 88 }];
    assert_eq!(world.run(spec).await.0, "ahoy\n/made/for/it\n77\n");
    world.end().await;
}

#[tokio::test]
async fn a_removed_container_is_gone_and_its_name_free() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    for _ in 0..3 {
        world.start(world.script("c", "pod", "sleep 100")).await;
        world.client.remove_container("c").await.unwrap();
        assert_eq!(world.client.list().await.unwrap().containers, []);
    }
    world.client.remove_container("c").await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_created_container_can_be_removed_without_having_run() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    world.client.create_container(world.script("c", "pod", "echo never")).await.unwrap();
    world.client.remove_container("c").await.unwrap();
    assert_eq!(std::fs::read_to_string(world.log_path("c")).unwrap(), "");
    world.end().await;
}
