//! `pods/NAME/proxy`, `services/NAME/proxy`, `nodes/NAME/proxy`.

use api::Status;
use http::header::{HeaderValue, LOCATION};
use http::{Method, StatusCode};

use super::node::{ProxyName, agent_of_node, pod_target, service_target};
use super::tunnel::{Keep, forward};
use crate::body::ApiBody;
use crate::call::Call;
use crate::reply::Reply;

pub(crate) async fn proxy(call: &Call) -> Result<Reply, Status> {
    let info = &call.request.info;
    // Relative links of a page need the slash behind `proxy`.
    let is_read = matches!(call.request.method, Method::GET | Method::HEAD);
    if info.rest.is_empty()
        && is_read
        && call.request.query.get("path").is_empty()
        && !call.request.wants_upgrade()
    {
        return redirect(&info.path, call.request.query.raw());
    }
    let view = call.server.fresh_view().await?;
    let name = ProxyName::parse(&info.name)?;
    let target = match info.resource.as_str() {
        "pods" => pod_target(call, &view, &name)?,
        "services" => service_target(call, &view, &name)?,
        _ => agent_of_node(&view, name.name)?,
    };
    let mut path = match (info.rest.as_str(), call.request.query.get("path")) {
        ("", "") => "/".to_owned(),
        ("", path) => format!("/{}", path.trim_start_matches('/')),
        (rest, _) => rest.to_owned(),
    };
    if !call.request.query.raw().is_empty() {
        path.push('?');
        path.push_str(call.request.query.raw());
    }
    let mut reply = forward(call, &target, &path, Keep::Everything).await?;
    rewrite_location(call, &mut reply);
    Ok(reply)
}

fn redirect(path: &str, query: &str) -> Result<Reply, Status> {
    let to = if query.is_empty() { format!("{path}/") } else { format!("{path}/?{query}") };
    let mut reply = Reply::new(ApiBody::empty());
    *reply.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let value = HeaderValue::from_str(&to).map_err(|_| Status::bad_request("invalid path"))?;
    reply.headers_mut().insert(LOCATION, value);
    Ok(reply)
}

/// A redirect to an absolute path stays behind the proxy.
fn rewrite_location(call: &Call, reply: &mut Reply) {
    let info = &call.request.info;
    let Some(to) = reply.headers().get(LOCATION).and_then(|v| v.to_str().ok()) else { return };
    if !to.starts_with('/') {
        return;
    }
    let prefix = info.path.strip_suffix(info.rest.as_str()).unwrap_or(&info.path);
    if let Ok(value) = HeaderValue::from_str(&format!("{prefix}{to}")) {
        reply.headers_mut().insert(LOCATION, value);
    }
}
