//! One API server with a single-member store on loopback, to try clients on:
//! `cargo run -p trireme-apiserver --example loopback DIR PORT`, then
//! `kubectl --kubeconfig DIR/admin.conf ...`.

use std::path::PathBuf;

use apiserver::Config;
use apiserver::pki::Pki;
use store::{Limits, Store, StoreConfig, Timings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("usage: loopback DIR PORT")?);
    let port: u16 = arguments.next().ok_or("usage: loopback DIR PORT")?.parse()?;
    let pki = Pki::create(&dir.join("pki"))?;
    let registry = prometheus::Registry::new();
    let tls = pki.peer_tls("s1")?;
    let store = Store::open(StoreConfig {
        id: 1,
        data_dir: dir.join("store"),
        peer_listen: ([127, 0, 0, 1], port + 1).into(),
        peer_advertise: format!("127.0.0.1:{}", port + 1),
        tls_server: tls.server,
        tls_client: tls.client,
        peer_server_name: tls.server_name,
        timings: Timings::default(),
        limits: Limits::default(),
        history: store::DEFAULT_HISTORY,
        registry: registry.clone(),
    })
    .await?;
    store.init_cluster().await?;
    let address = format!("127.0.0.1:{port}");
    let mut config = Config::new("s1", address.parse()?, &address, dir.join("api"), pki.clone());
    config.registry = registry;
    std::fs::write(dir.join("admin.conf"), pki.admin_kubeconfig(&format!("https://{address}"))?)?;
    let api = apiserver::start(config, store.clone()).await?;
    api.ready().await;
    println!("ready: kubectl --kubeconfig {}", dir.join("admin.conf").display());
    tokio::signal::ctrl_c().await?;
    api.shutdown().await;
    store.shutdown().await;
    Ok(())
}
