//! What a custom resource's schema demands beyond types.

use regex::Regex;
use serde_json::Value;

use super::cel::CelRule;
use super::formats::Format;
use super::tree::Schema;

/// Ranges, patterns, enums, alternatives and CEL rules of one node.
#[derive(Debug, Default)]
pub struct Rules {
    pub format: Option<Format>,
    pub values: Vec<Value>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub multiple_of: Option<f64>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub pattern: Option<Regex>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
    /// `x-kubernetes-validations`
    pub cel: Vec<CelRule>,
}

/// An end of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    pub at: f64,
    pub exclusive: bool,
}
