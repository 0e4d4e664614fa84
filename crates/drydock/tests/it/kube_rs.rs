//! exec, attach and port-forward through kube-rs, which has its own WebSockets.

use futures::SinkExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::forwarding::serving;
use crate::world::{SOON, World, newest, noise};

const LARGE_BYTES: usize = 3 << 20;
const REQUEST: &[u8] = b"GET /index.html HTTP/1.0\r\n\r\n";

async fn pods(world: &World) -> Api<Pod> {
    let kubeconfig = Kubeconfig::read_from(world.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Api::namespaced(Client::try_from(config).unwrap(), &world.namespace)
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut read = Vec::new();
    stream.unwrap().read_to_end(&mut read).await.unwrap();
    read
}

/// The exit code; 0 for a success.
async fn end_of(mut process: AttachedProcess) -> String {
    let status = process.take_status().unwrap().await.unwrap();
    process.join().await.unwrap();
    let causes = status.details.into_iter().flat_map(|details| details.causes.unwrap_or_default());
    let mut causes = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode"));
    causes.next().map_or("0".to_owned(), |cause| cause.message.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gives_its_outputs_and_its_code() {
    let Some(world) = newest() else { return };
    world.sleeping("p");
    let pods = pods(&world).await;
    let mut process = pods
        .exec("p", ["sh", "-c", "echo out; echo err >&2; exit 7"], &AttachParams::default())
        .await
        .unwrap();
    assert_eq!(all_of(process.stdout()).await, b"out\n");
    assert_eq!(all_of(process.stderr()).await, b"err\n");
    assert_eq!(end_of(process).await, "7");
    let process = pods.exec("p", ["true"], &AttachParams::default()).await.unwrap();
    assert_eq!(end_of(process).await, "0");
    let missing = pods.exec("nobody", ["true"], &AttachParams::default()).await;
    assert!(missing.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn megabytes_go_in_and_come_back_unchanged() {
    let Some(world) = newest() else { return };
    world.sleeping("p");
    let pods = pods(&world).await;
    let params = AttachParams::default().stdin(true).stderr(false);
    let command = format!("head -c {LARGE_BYTES} | cat");
    let mut process = pods.exec("p", ["sh", "-c", command.as_str()], &params).await.unwrap();
    let bytes = noise(LARGE_BYTES);
    let (mut stdin, stdout, sent) = (process.stdin().unwrap(), process.stdout(), bytes.clone());
    let writing = tokio::spawn(async move { stdin.write_all(&sent).await.unwrap() });
    let back = all_of(stdout).await;
    writing.await.unwrap();
    assert!(back == bytes, "{} bytes came back", back.len());
    assert_eq!(end_of(process).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_the_size_it_is_given() {
    let Some(world) = newest() else { return };
    world.sleeping("p");
    let pods = pods(&world).await;
    let script = "until stty size 2> /dev/null | grep '40 132'; do sleep 0.05; done";
    let mut process = pods.exec("p", ["sh", "-c", script], &AttachParams::interactive_tty()).await.unwrap();
    let mut size = process.terminal_size().unwrap();
    size.send(TerminalSize { height: 40, width: 132 }).await.unwrap();
    let said = all_of(process.stdout()).await;
    assert_eq!(String::from_utf8_lossy(&said), "40 132\r\n");
    assert_eq!(end_of(process).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attached_container_hears_and_answers() {
    let Some(world) = newest() else { return };
    world.pod("p", "read line; echo heard $line; read line", json!({ "stdin": true }));
    world.until_ready("p");
    let pods = pods(&world).await;
    let params = AttachParams::default().stdin(true).stderr(false);
    let mut process = pods.attach("p", &params).await.unwrap();
    let (mut stdin, mut stdout) = (process.stdin().unwrap(), process.stdout().unwrap());
    stdin.write_all(b"ahoy\n").await.unwrap();
    let mut answer = [0; 11];
    stdout.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"heard ahoy\n");
    process.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded_several_at_once() {
    let Some(world) = newest() else { return };
    serving(&world);
    let pods = pods(&world).await;
    let mut forwarder = pods.portforward("p", &[7000, 8000]).await.unwrap();
    let mut echo = forwarder.take_stream(7000).unwrap();
    let mut web = forwarder.take_stream(8000).unwrap();
    web.write_all(REQUEST).await.unwrap();
    echo.write_all(b"ahoy").await.unwrap();
    let mut answer = [0; 4];
    echo.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ahoy");
    let mut beginning = [0; 4];
    web.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning, b"HTTP");
    forwarder.abort();
}

/// Its WebSockets cannot end one stream of several: the connection ends with the last.
#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_connection_ends_and_one_that_is_refused_says_so() {
    let Some(world) = newest() else { return };
    serving(&world);
    let pods = pods(&world).await;
    let mut forwarder = pods.portforward("p", &[8000]).await.unwrap();
    let mut web = forwarder.take_stream(8000).unwrap();
    web.write_all(REQUEST).await.unwrap();
    let page = tokio::time::timeout(SOON, all_of(Some(web))).await.unwrap();
    assert!(page.ends_with(b"hello\n"), "{}", String::from_utf8_lossy(&page));
    let mut refused = pods.portforward("p", &[1]).await.unwrap();
    let error = tokio::time::timeout(SOON, refused.take_error(1).unwrap()).await.unwrap();
    assert!(error.as_ref().is_some_and(|said| said.contains("refused")), "{error:?}");
}
