//! An API server without controllers and containers, to try clients against.
//!
//! `cargo run -p drydock-api --example bare_api -- FOLDER [PORT]`, then `KUBECONFIG=FOLDER/kubeconfig kubectl ...`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use drydock_api::{Api, ApiConfig, Keyring, NoNode, Pki, SEALED};
use drydock_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: bare_api FOLDER [PORT]")?);
    let port: u16 = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let port = listener.local_addr()?.port();
    let pki = Arc::new(Pki::open(&folder.join("pki"))?);
    let keyring = Keyring::open(&folder.join("pki"), SEALED)?;
    let store = Store::open_with(folder.join("store.redb"), keyring.store_options())?;
    pki.write_kubeconfig(&folder.join("kubeconfig"), &format!("https://127.0.0.1:{port}"))?;
    let config = ApiConfig { port, ..ApiConfig::default() };
    let api = Api::new(config, store.clone(), pki.clone(), Arc::new(NoNode)).await?;
    println!("KUBECONFIG={}", folder.join("kubeconfig").display());
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        // Without a signal handler the process simply ends at once, which the store survives.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    api.serve(listener, pki.server_tls()?, shutdown).await?;
    store.close();
    Ok(())
}
