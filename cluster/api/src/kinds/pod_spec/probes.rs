//! Validation of lifecycle hooks and probes.

use serde_json::Value;

use crate::kinds::checks::Errors;
use crate::names;
use crate::value::{get, int, items, text};

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

pub fn lifecycle_and_probes(container: &Value, path: &str, errors: &mut Errors) {
    for hook in ["postStart", "preStop"] {
        let handler = get(container, &format!("lifecycle.{hook}"));
        if !handler.is_null() {
            self::handler(handler, &format!("{path}.lifecycle.{hook}"), errors);
        }
    }
    for name in PROBES {
        let probe = get(container, name);
        if probe.is_null() {
            continue;
        }
        let at = format!("{path}.{name}");
        self::probe(probe, &at, errors);
        match name {
            "readinessProbe" => {
                if let Some(seconds) = int(probe, "terminationGracePeriodSeconds") {
                    let detail = "must not be set for readinessProbes";
                    errors.invalid(format!("{at}.terminationGracePeriodSeconds"), seconds, detail);
                }
            }
            _ => {
                let threshold = int(probe, "successThreshold").unwrap_or_default();
                if threshold != 1 {
                    errors.invalid(format!("{at}.successThreshold"), threshold, "must be 1");
                }
            }
        }
    }
}

fn probe(probe: &Value, path: &str, errors: &mut Errors) {
    handler(probe, path, errors);
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        errors.non_negative(probe, path, field);
    }
    errors.positive(probe, path, "terminationGracePeriodSeconds");
}

fn handler(handler: &Value, path: &str, errors: &mut Errors) {
    let mut count = 0;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let action = get(handler, kind);
        if action.is_null() {
            continue;
        }
        let at = format!("{path}.{kind}");
        count += 1;
        if count > 1 {
            errors.forbidden(at, "may not specify more than 1 handler type");
            continue;
        }
        match kind {
            "exec" if items(action, "command").is_empty() => {
                errors.required(format!("{at}.command"), "");
            }
            "httpGet" => {
                errors.present(action, &at, "path");
                errors.port_or_name(&format!("{at}.port"), get(action, "port"));
                let scheme = text(action, "scheme");
                match scheme {
                    "HTTP" | "HTTPS" => {}
                    _ => errors.0.push(crate::FieldError::not_supported(
                        format!("{at}.scheme"),
                        scheme,
                        ["HTTP", "HTTPS"],
                    )),
                }
                for header in items(action, "httpHeaders") {
                    let name = text(header, "name");
                    errors.reasons(&format!("{at}.httpHeaders"), name, names::http_header(name));
                }
            }
            "tcpSocket" => errors.port_or_name(&format!("{at}.port"), get(action, "port")),
            "grpc" => {
                errors.port(&format!("{at}.port"), int(action, "port").unwrap_or_default());
            }
            _ => {}
        }
    }
    if count == 0 {
        errors.required(path, "must specify a handler type");
    }
}
