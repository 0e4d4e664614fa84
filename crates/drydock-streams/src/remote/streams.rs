//! A remote command over SPDY: the client opens one stream per thing it wants, named by the header `streamType`.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{Client, Start, Wanted, run};
use crate::spdy::{Limits, Mux, Stream, reset};
use crate::{Reader, Writer};

/// How long a client may take to open its streams.
const CREATION: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Streams {
    error: Option<Stream>,
    stdin: Option<Stream>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    resize: Option<Stream>,
}

pub(super) async fn serve<S>(io: S, version: &'static str, wanted: Wanted, limits: Limits, start: Start)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut mux, driver) = Mux::new(io, limits);
    let gone = mux.gone();
    let work = async move {
        let Ok(Some(streams)) = tokio::time::timeout(CREATION, collect(&mut mux, version, wanted)).await
        else {
            return tracing::debug!("a client did not open the streams it asked for");
        };
        let Some(mut error) = streams.error else { return };
        let write = |stream: Option<Stream>| stream.map(|stream| Box::new(stream.writer) as Writer);
        // Our half of the client's input is closed with the last word, which is how it learns that nobody reads.
        let split = |stream: Option<Stream>| match stream {
            Some(stream) => (Some(Box::new(stream.reader) as Reader), Some(stream.writer)),
            None => (None, None),
        };
        let ((stdin, ours), (resize, sizes)) = (split(streams.stdin), split(streams.resize));
        let client = Client { stdin, stdout: write(streams.stdout), stderr: write(streams.stderr), resize };
        let outcome = run(client, start).await;
        let message = outcome.message(version == "v4.channel.k8s.io");
        let _ = error.writer.write_all(&message).await;
        for mut writer in [Some(error.writer), ours, sizes].into_iter().flatten() {
            let _ = writer.shutdown().await;
        }
    };
    let work = async {
        tokio::select! { () = work => {}, () = gone.cancelled() => {} }
    };
    tokio::join!(driver, work);
}

/// All streams the client has announced in its query; the error stream is always one of them.
async fn collect(mux: &mut Mux, version: &str, wanted: Wanted) -> Option<Streams> {
    let resizes = wanted.tty && matches!(version, "v3.channel.k8s.io" | "v4.channel.k8s.io");
    let count = [true, wanted.stdin, wanted.stdout, wanted.stderr, resizes];
    let mut missing = count.iter().filter(|wanted| **wanted).count();
    let mut streams = Streams::default();
    while missing > 0 {
        let stream = mux.next().await?;
        let place = match stream.headers.get("streamtype") {
            Some("error") => &mut streams.error,
            Some("stdin") => &mut streams.stdin,
            Some("stdout") => &mut streams.stdout,
            Some("stderr") => &mut streams.stderr,
            Some("resize") => &mut streams.resize,
            _ => {
                stream.reset(reset::REFUSED_STREAM).await;
                continue;
            }
        };
        if place.is_some() {
            stream.reset(reset::REFUSED_STREAM).await;
            continue;
        }
        stream.accept().await;
        *place = Some(stream);
        missing -= 1;
    }
    Some(streams)
}
