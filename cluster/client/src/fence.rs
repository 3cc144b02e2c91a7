//! The client of a leader.

use crate::{Leadership, in_process};
use http::{HeaderName, HeaderValue, Method, Request};
use kube::client::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower::service_fn;

/// The request header that names the lease and the epoch a write is made in:
/// `NAMESPACE/NAME/EPOCH`, the epoch percent-encoded.
pub const FENCE_HEADER: &str = "trireme-fence";

/// A client whose writes are refused once `leadership` has ended.
pub fn fenced(client: &kube::Client, leadership: &Leadership) -> kube::Client {
    let client = client.clone();
    let name = HeaderName::from_static(FENCE_HEADER);
    let value = header_value(leadership);
    in_process(service_fn(move |mut request: Request<Body>| {
        if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let client = client.clone();
        async move { client.send(request).await }
    }))
}

fn header_value(leadership: &Leadership) -> HeaderValue {
    let epoch = utf8_percent_encode(&leadership.epoch, NON_ALPHANUMERIC);
    let text = format!("{}/{}/{epoch}", leadership.lease_namespace, leadership.lease_name);
    HeaderValue::from_str(&text).expect("names of leases and percent-encoded text are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn only_writes_carry_the_epoch() {
        type Seen = Vec<(Method, Option<String>)>;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let log = seen.clone();
        let inner = in_process(service_fn(move |request: Request<Body>| {
            let fence = request.headers().get(FENCE_HEADER).map(|v| v.to_str().unwrap().to_owned());
            log.lock().unwrap().push((request.method().clone(), fence));
            async { Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty())) }
        }));
        let leadership = Leadership {
            lease_namespace: "kube-system".into(),
            lease_name: "kube-scheduler".into(),
            epoch: "s1_a/7".into(),
            since_revision: 1,
        };
        let client = fenced(&inner, &leadership);
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let request = Request::builder().method(method).uri("/api").body(Body::empty()).unwrap();
            client.send(request).await.unwrap();
        }
        let fence = Some("kube-system/kube-scheduler/s1%5Fa%2F7".to_owned());
        assert_eq!(
            *seen.lock().unwrap(),
            vec![(Method::GET, None), (Method::POST, fence.clone()), (Method::DELETE, fence)]
        );
    }
}
