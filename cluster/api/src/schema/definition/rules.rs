//! The CEL rules of a definition: their texts, their types, and what they may cost.

use std::rc::Rc;

use serde_json::Value;

use super::super::cel::{CelRule, on_large_stack};
use super::super::cel_types::{Decl, Kind};
use super::super::structural::{child, truth};
use super::super::{cel_check, cel_types};
use super::{Checker, Node, Place, find_field};
use crate::field::FieldError;

/// What one rule may cost at most, and all rules of a definition together (Kubernetes' published
/// limits).
const RULE_COST: u64 = 10_000_000;
const TOTAL_COST: u64 = 100_000_000;

/// By how much a cost is beyond its limit.
fn beyond(what: &str, cost: u64, limit: u64) -> String {
    let times = cost as f64 / limit as f64;
    let factor = if times > 100.0 {
        "more than 100x".to_owned()
    } else if times < 1.5 {
        format!("{times:.6}x")
    } else {
        format!("{times:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

pub(super) fn total_cost(mut costs: Vec<(String, u64)>, path: &str) -> Vec<FieldError> {
    let total = costs.iter().fold(0_u64, |sum, (_, cost)| sum.saturating_add(*cost));
    if total <= TOTAL_COST {
        return Vec::new();
    }
    costs.retain(|(_, cost)| *cost >= TOTAL_COST / 100);
    costs.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
    let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
    let mut errors: Vec<FieldError> =
        costs.into_iter().take(4).map(|(at, _)| FieldError::forbidden(at, detail)).collect();
    let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
    errors.push(FieldError::forbidden(path, beyond(what, total, TOTAL_COST)));
    errors
}

impl Checker {
    pub(super) fn validations(&mut self, node: &Node, path: &str, place: &Place) {
        let list = node.get("x-kubernetes-validations").and_then(Value::as_array);
        for (i, rule) in list.into_iter().flatten().enumerate() {
            let at = format!("{}[{i}]", child(path, "x-kubernetes-validations"));
            let before = self.errors.len();
            self.rule_texts(node, rule, &at);
            if self.errors.len() > before {
                continue;
            }
            match CelRule::read(rule) {
                Err(mut error) => {
                    error.path = child(&at, &error.path);
                    self.rules.push(error);
                }
                Ok(compiled) => {
                    self.judge_expressions(node, &compiled, &at, place);
                    self.old_self(rule, &compiled, &at, place);
                }
            }
        }
    }

    fn judge_expressions(&mut self, node: &Node, rule: &CelRule, at: &str, place: &Place) {
        if !rule.is_deep() {
            return self.types_and_costs(node, rule, at, place);
        }
        if on_large_stack(|| self.types_and_costs(node, rule, at, place)).is_none() {
            let detail = "compilation failed: the rule can not be checked";
            self.rules.push(FieldError::invalid(child(at, "rule"), rule.source.as_str(), detail));
        }
    }

    fn types_and_costs(&mut self, node: &Node, rule: &CelRule, at: &str, place: &Place) {
        if place.nested {
            return;
        }
        let is_root = place.root || truth(node, "x-kubernetes-embedded-resource");
        let Some(subject) = cel_types::decl(node, is_root) else { return };
        let old = match rule.old_is_optional() {
            true => Decl::sized(Kind::Optional(Rc::new(subject.clone())), subject.size),
            false => subject.clone(),
        };
        let times = place.cardinality.unwrap_or_else(|| cel_types::cardinality(&subject));
        let expressions = [
            (
                "rule",
                Some(rule.expression()),
                Kind::Bool,
                "cel expression must evaluate to a bool",
                "estimated rule cost",
            ),
            (
                "messageExpression",
                rule.message_expression(),
                Kind::String,
                "messageExpression must evaluate to a string",
                "estimated messageExpression cost",
            ),
        ];
        for (field, expression, wanted, detail, cost) in expressions {
            let Some(expression) = expression else { continue };
            let at = child(at, field);
            let shown = rule.source.as_str();
            match cel_check::check(expression, &subject, Some(old.clone())) {
                Err(problem) => {
                    let detail = format!("compilation failed: ERROR: {problem}");
                    self.rules.push(FieldError::invalid(at, shown, detail));
                }
                Ok(info) if info.decl.kind != wanted && info.decl.kind != Kind::Dyn => {
                    self.rules.push(FieldError::invalid(at, shown, detail));
                }
                Ok(info) => {
                    let greatest = match field {
                        "rule" => info.cost.saturating_mul(times),
                        _ => info.cost,
                    };
                    if greatest > RULE_COST {
                        let detail = beyond(cost, greatest, RULE_COST);
                        self.rules.push(FieldError::forbidden(at.clone(), detail));
                    }
                    self.costs.push((at, greatest));
                }
            }
        }
    }

    fn rule_texts(&mut self, node: &Node, rule: &Value, at: &str) {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
        let broken = |text: &str| text.contains(['\n', '\r']);
        let (source, message) = (text("rule").trim(), text("message").trim());
        if source.is_empty() {
            self.errors.push(FieldError::required(child(at, "rule"), "rule is not specified"));
        } else if !text("message").is_empty() && message.is_empty() {
            let detail = "must be non-empty if specified";
            self.errors.push(FieldError::invalid(child(at, "message"), text("message"), detail));
        } else if broken(message) {
            let detail = "must not contain line breaks";
            self.errors.push(FieldError::invalid(child(at, "message"), text("message"), detail));
        } else if broken(source) && message.is_empty() {
            let detail = "message must be specified if rule contains line breaks";
            self.errors.push(FieldError::required(child(at, "message"), detail));
        }
        if !text("messageExpression").is_empty() && text("messageExpression").trim().is_empty() {
            let detail = "messageExpression must be non-empty if specified";
            self.errors.push(FieldError::required(child(at, "messageExpression"), detail));
        }
        const REASONS: [&str; 4] =
            ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
        if let Some(reason) = rule.get("reason").and_then(Value::as_str).filter(|r| !REASONS.contains(r)) {
            self.errors.push(FieldError::not_supported(child(at, "reason"), reason, REASONS));
        }
        let field = text("fieldPath");
        if field.is_empty() {
            return;
        }
        let at = child(at, "fieldPath");
        if field.trim().is_empty() {
            self.errors.push(FieldError::invalid(at.clone(), field, "must be non-empty if specified"));
        }
        if broken(field) {
            self.errors.push(FieldError::invalid(at.clone(), field, "must not contain line breaks"));
        }
        if find_field(node, field, true).is_err() {
            self.errors.push(FieldError::invalid(at, field, "must be a valid path"));
        }
    }

    fn old_self(&mut self, rule: &Value, compiled: &CelRule, at: &str, place: &Place) {
        if compiled.is_transition() {
            if let Some(above) = &place.uncorrelatable {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {above}"
                );
                let source = compiled.source.as_str();
                self.rules.push(FieldError::invalid(child(at, "rule"), source, detail));
            }
        } else if let Some(given) = rule.get("optionalOldSelf").filter(|g| !g.is_null()) {
            let detail = "may not be set if oldSelf is not used in rule";
            self.rules.push(FieldError::invalid(child(at, "optionalOldSelf"), given.clone(), detail));
        }
    }
}
