//! A conversion webhook on loopback, between `hostPort` (v1) and `host` and `port` (v2).

use std::sync::{Arc, Mutex};

use apiserver::pki::Pki;
use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub struct Converter {
    port: u16,
    ca: String,
    /// What it does wrong.
    mode: Arc<Mutex<&'static str>>,
}

impl Converter {
    pub async fn start(pki: &Pki) -> Converter {
        let issued = pki.issue_server("converter", &["127.0.0.1".to_owned()]).unwrap();
        let chain = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(super::loopback()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(Mutex::new(""));
        let shared = mode.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, mode) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer = service_fn(|request: http::Request<hyper::body::Incoming>| {
                        let mode = *mode.lock().unwrap();
                        async move {
                            let body = request.into_body().collect().await?.to_bytes();
                            let review: Value = serde_json::from_slice(&body).unwrap();
                            let code = if mode == "away" { 503 } else { 200 };
                            let answer = Full::new(Bytes::from(answer(&review, mode).to_string()));
                            Ok::<_, hyper::Error>(
                                http::Response::builder().status(code).body(answer).unwrap(),
                            )
                        }
                    });
                    // The client closes when it has its answer.
                    _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
        });
        Converter { port, ca: pki.ca_pem().to_owned(), mode }
    }

    pub fn set(&self, mode: &'static str) {
        *self.mode.lock().unwrap() = mode;
    }

    /// `spec.conversion` of a definition.
    pub fn conversion(&self) -> Value {
        let bundle = base64::engine::general_purpose::STANDARD.encode(&self.ca);
        json!({"strategy": "Webhook", "webhook": {
            "clientConfig": {"url": format!("https://127.0.0.1:{}/convert", self.port), "caBundle": bundle},
            "conversionReviewVersions": ["v1"],
        }})
    }
}

fn answer(review: &Value, mode: &str) -> Value {
    let request = &review["request"];
    let wanted = request["desiredAPIVersion"].as_str().unwrap();
    let mut objects: Vec<Value> =
        request["objects"].as_array().unwrap().iter().map(|o| convert(o.clone(), wanted)).collect();
    for object in &mut objects {
        match mode {
            "renames" => object["metadata"]["name"] = "other".into(),
            "strays" => object["apiVersion"] = "example.com/v2".into(),
            "labels" => {
                object["metadata"]["labels"] = json!({"converted": "true"});
                object["metadata"]["finalizers"] = json!([]);
            }
            _ => {}
        }
    }
    if mode == "loses" {
        objects.clear();
    }
    let result = match mode {
        "refuses" => json!({"status": "Failure", "message": "no such host"}),
        _ => json!({"status": "Success"}),
    };
    json!({
        "kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1",
        "response": {"uid": request["uid"], "result": result, "convertedObjects": objects},
    })
}

fn convert(mut object: Value, wanted: &str) -> Value {
    let spec = object["spec"].take();
    object["spec"] = match wanted {
        "example.com/v1" => {
            let text = |name: &str| spec[name].as_str().unwrap_or_default().to_owned();
            json!({"hostPort": format!("{}:{}", text("host"), text("port"))})
        }
        _ => {
            let (host, port) = spec["hostPort"].as_str().and_then(|h| h.split_once(':')).unwrap_or_default();
            json!({"host": host, "port": port})
        }
    };
    object["apiVersion"] = wanted.into();
    object
}
