//! The check of a CEL rule when it is written: whether its types fit, and what it may cost at most
//! (the cost model of cel-go, with Kubernetes' sizes).
//!
//! Functions of the libraries that are not listed here answer a value of any type.

use std::rc::Rc;

use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::cel_types::{Decl, Kind};

/// Type, greatest cost and greatest size of an expression.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub decl: Decl,
    pub cost: u64,
}

impl Info {
    fn new(kind: Kind, cost: u64) -> Self {
        Self { decl: Decl::of(kind), cost }
    }

    fn sized(kind: Kind, size: u64, cost: u64) -> Self {
        Self { decl: Decl::sized(kind, size), cost }
    }
}

/// Checks an expression over `self` and, where it is visible, `oldSelf`.
pub(super) fn check(expression: &IdedExpr, subject: &Decl, old: Option<Decl>) -> Result<Info, String> {
    let mut scope = vec![("self".to_owned(), subject.clone())];
    scope.extend(old.map(|old| ("oldSelf".to_owned(), old)));
    Checker { scope }.visit(expression)
}

struct Checker {
    /// Innermost last.
    scope: Vec<(String, Decl)>,
}

/// `size * factor`, rounded up.
fn traverse(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

/// Looking at each character of a text.
const TRAVERSAL: f64 = 0.1;
const REGEX: f64 = 0.25;

impl Checker {
    fn visit(&mut self, expression: &IdedExpr) -> Result<Info, String> {
        match &expression.expr {
            Expr::Unspecified => Ok(Info { decl: Decl::dynamic(), cost: 0 }),
            Expr::Literal(literal) => Ok(constant(literal)),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => {
                let operand = self.visit(&select.operand)?;
                if select.test {
                    field_of(&operand.decl, &select.field)?;
                    return Ok(Info::new(Kind::Bool, operand.cost));
                }
                let decl = field_of(&operand.decl, &select.field)?;
                Ok(Info { decl, cost: operand.cost.saturating_add(1) })
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let mut cost = 10_u64;
                let mut item: Option<Decl> = None;
                for element in &list.elements {
                    let info = self.visit(element)?;
                    cost = cost.saturating_add(info.cost);
                    item = Some(item.map_or(info.decl.clone(), |item| either(&item, &info.decl)));
                }
                let item = item.unwrap_or_else(|| Decl::sized(Kind::Dyn, 0));
                Ok(Info::sized(Kind::List(Rc::new(item)), list.elements.len() as u64, cost))
            }
            Expr::Map(map) => {
                let mut cost = 30_u64;
                let mut value: Option<Decl> = None;
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        let (key, info) = (self.visit(&entry.key)?, self.visit(&entry.value)?);
                        cost = cost.saturating_add(key.cost).saturating_add(info.cost);
                        value = Some(value.map_or(info.decl.clone(), |value| either(&value, &info.decl)));
                    }
                }
                let value = value.unwrap_or_else(|| Decl::sized(Kind::Dyn, 0));
                Ok(Info::sized(Kind::Map(Rc::new(value)), map.entries.len() as u64, cost))
            }
            Expr::Struct(_) => Ok(Info { decl: Decl::dynamic(), cost: 40 }),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn ident(&self, name: &str) -> Result<Info, String> {
        if let Some((_, decl)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(Info { decl: decl.clone(), cost: 1 });
        }
        const TYPES: [&str; 10] =
            ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "uint"];
        match TYPES.contains(&name) || matches!(name, "type" | "google" | "net" | "optional") {
            true => Ok(Info::new(Kind::Type, 1)),
            false => Err(format!("undeclared reference to '{name}' (in container '')")),
        }
    }

    fn comprehension(&mut self, c: &ComprehensionExpr) -> Result<Info, String> {
        let range = self.visit(&c.iter_range)?;
        let init = self.visit(&c.accu_init)?;
        let (key, value) = match &range.decl.kind {
            Kind::List(item) => (item.as_ref().clone(), item.as_ref().clone()),
            Kind::Map(value) => {
                (Decl::sized(Kind::String, range.decl.size.min(1 << 20)), value.as_ref().clone())
            }
            Kind::Dyn => (Decl::dynamic(), Decl::dynamic()),
            Kind::Object(_) => (Decl::of(Kind::String), Decl::dynamic()),
            other => {
                return Err(format!(
                    "expression of type '{}' cannot be range of a comprehension (must be list, map, or dynamic)",
                    other.name()
                ));
            }
        };
        let depth = self.scope.len();
        let list_key = Decl::of(Kind::Int);
        match &c.iter_var2 {
            None => self.scope.push((c.iter_var.clone(), key)),
            Some(second) => {
                let first = if matches!(range.decl.kind, Kind::List(_)) { list_key } else { key };
                self.scope.push((c.iter_var.clone(), first));
                self.scope.push((second.clone(), value));
            }
        }
        self.scope.push((c.accu_var.clone(), init.decl.clone()));
        let condition = self.visit(&c.loop_cond)?;
        let step = self.visit(&c.loop_step)?;
        self.scope.truncate(depth);
        // What the steps make of the first value is what comes out.
        let mut accumulated = either(&init.decl, &step.decl);
        if matches!(accumulated.kind, Kind::List(_) | Kind::Map(_)) {
            accumulated.size = range.decl.size;
        }
        self.scope.push((c.accu_var.clone(), accumulated));
        let result = self.visit(&c.result)?;
        self.scope.truncate(depth);
        let each = condition.cost.saturating_add(step.cost);
        let loops = range.decl.size.saturating_mul(each);
        let cost =
            [range.cost, init.cost, result.cost, loops].iter().fold(0, |a: u64, b| a.saturating_add(*b));
        Ok(Info { decl: result.decl, cost })
    }

    fn call(&mut self, call: &CallExpr) -> Result<Info, String> {
        let mut args = Vec::with_capacity(call.args.len() + 1);
        if let Some(target) = &call.target {
            // A namespace (`math.greatest`, `optional.of`) is no value.
            match &target.expr {
                Expr::Ident(name) if !self.scope.iter().any(|(known, _)| known == name) => {
                    return self.namespaced(name, call);
                }
                _ => args.push(self.visit(target)?),
            }
        }
        for arg in &call.args {
            match (call.func_name.as_str(), &arg.expr) {
                // The field of an optional selection is a word, not an expression.
                ("_?._", Expr::Literal(_)) => args.push(Info::new(Kind::String, 0)),
                _ => args.push(self.visit(arg)?),
            }
        }
        let spent = args.iter().fold(0_u64, |sum, arg| sum.saturating_add(arg.cost));
        if let Some(info) = logic(&call.func_name, &args, spent)? {
            return Ok(info);
        }
        if let Some(info) = optionals(&call.func_name, &args, call, spent) {
            return Ok(info);
        }
        Ok(function(&call.func_name, call.target.is_some(), &args, spent))
    }

    fn namespaced(&mut self, name: &str, call: &CallExpr) -> Result<Info, String> {
        if name == "cel" {
            // A binding names what it binds.
            return Ok(Info { decl: Decl::dynamic(), cost: 1 });
        }
        let mut args = Vec::new();
        for arg in &call.args {
            args.push(self.visit(arg)?);
        }
        let cost = args.iter().fold(1_u64, |sum, arg| sum.saturating_add(arg.cost));
        match (name, call.func_name.as_str(), args.first()) {
            ("optional", "of" | "ofNonZeroValue", Some(inner)) => {
                Ok(Info { decl: optional(inner.decl.clone()), cost })
            }
            ("optional", "none", _) => Ok(Info { decl: optional(Decl::dynamic()), cost }),
            ("math" | "ip" | "cidr" | "sets" | "format" | "optional" | "net" | "strings" | "base64", ..) => {
                Ok(Info { decl: Decl::dynamic(), cost })
            }
            _ => Err(format!("undeclared reference to '{name}' (in container '')")),
        }
    }
}

fn constant(literal: &LiteralValue) -> Info {
    match literal {
        LiteralValue::Boolean(_) => Info::new(Kind::Bool, 0),
        LiteralValue::Bytes(bytes) => Info::sized(Kind::Bytes, bytes.inner().len() as u64, 0),
        LiteralValue::Double(_) => Info::new(Kind::Double, 0),
        LiteralValue::Int(_) => Info::new(Kind::Int, 0),
        LiteralValue::Null => Info::new(Kind::Null, 0),
        LiteralValue::String(text) => Info::sized(Kind::String, text.inner().chars().count() as u64, 0),
        LiteralValue::UInt(_) => Info::new(Kind::Uint, 0),
    }
}

fn optional(inner: Decl) -> Decl {
    let size = inner.size;
    Decl::sized(Kind::Optional(Rc::new(inner)), size)
}

fn field_of(decl: &Decl, name: &str) -> Result<Decl, String> {
    match &decl.kind {
        Kind::Object(fields) => fields.get(name).cloned().ok_or_else(|| format!("undefined field '{name}'")),
        Kind::Map(value) => Ok(value.as_ref().clone()),
        Kind::Dyn | Kind::Type => Ok(Decl::dynamic()),
        Kind::Optional(inner) => Ok(optional(field_of(inner, name)?)),
        other => Err(format!("type '{}' does not support field selection", other.name())),
    }
}

/// A type that both values have; any when they differ.
fn either(a: &Decl, b: &Decl) -> Decl {
    let size = a.size.max(b.size);
    let kind = match (&a.kind, &b.kind) {
        (x, y) if x == y => x.clone(),
        (Kind::List(x), Kind::List(y)) => Kind::List(Rc::new(known(x, y))),
        (Kind::Map(x), Kind::Map(y)) => Kind::Map(Rc::new(known(x, y))),
        (Kind::Object(_), Kind::Object(_)) => a.kind.clone(),
        _ => Kind::Dyn,
    };
    Decl::sized(kind, size)
}

/// The items of an empty list say nothing of their type.
fn known(a: &Decl, b: &Decl) -> Decl {
    match (&a.kind, a.size, &b.kind, b.size) {
        (Kind::Dyn, 0, ..) => b.clone(),
        (_, _, Kind::Dyn, 0) => a.clone(),
        _ => either(a, b),
    }
}

fn mismatch(function: &str, args: &[Info]) -> String {
    let names: Vec<String> = args.iter().map(|arg| arg.decl.kind.name()).collect();
    format!("found no matching overload for '{function}' applied to '({})'", names.join(", "))
}

fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Int | Kind::Uint | Kind::Double)
}

/// Operators; `None` for other functions.
fn logic(name: &str, args: &[Info], spent: u64) -> Result<Option<Info>, String> {
    let refuse = || mismatch(name, args);
    let kinds: Vec<&Kind> = args.iter().map(|arg| &arg.decl.kind).collect();
    let bools = |kinds: &[&Kind]| kinds.iter().all(|k| matches!(k, Kind::Bool | Kind::Dyn));
    let one_more = spent.saturating_add(1);
    let info = match (name, kinds.as_slice()) {
        ("_&&_" | "_||_", kinds) if bools(kinds) => Info::new(Kind::Bool, spent),
        ("!_" | "@not_strictly_false", kinds) if bools(kinds) => Info::new(Kind::Bool, one_more),
        ("_&&_" | "_||_" | "!_", _) => return Err(refuse()),
        ("_?_:_", [condition, _, _]) if bools(&[condition]) => {
            let cost = args[0].cost.saturating_add(args[1].cost.max(args[2].cost));
            Info { decl: either(&args[1].decl, &args[2].decl), cost }
        }
        ("_?_:_", _) => return Err(refuse()),
        ("_==_" | "_!=_", [a, b]) => {
            if !comparable(a, b) {
                return Err(refuse());
            }
            let least = args[0].decl.size.min(args[1].decl.size);
            Info::new(Kind::Bool, spent.saturating_add(traverse(least, TRAVERSAL)))
        }
        ("_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => {
            let ordered = matches!(
                (a, b),
                (Kind::String, Kind::String)
                    | (Kind::Bytes, Kind::Bytes)
                    | (Kind::Bool, Kind::Bool)
                    | (Kind::Duration, Kind::Duration)
                    | (Kind::Timestamp, Kind::Timestamp)
                    | (Kind::Dyn, _)
                    | (_, Kind::Dyn)
            );
            if !(ordered || is_number(a) && is_number(b)) {
                return Err(refuse());
            }
            let least = args[0].decl.size.min(args[1].decl.size);
            Info::new(Kind::Bool, spent.saturating_add(traverse(least, TRAVERSAL).max(1)))
        }
        ("@in", [a, Kind::List(item)]) => {
            if !comparable(a, &item.kind) {
                return Err(refuse());
            }
            Info::new(Kind::Bool, spent.saturating_add(args[1].decl.size))
        }
        ("@in", [_, Kind::Map(_) | Kind::Dyn]) => Info::new(Kind::Bool, one_more),
        ("@in", _) => return Err(refuse()),
        ("_[_]", [Kind::List(item), Kind::Int | Kind::Dyn]) => {
            Info { decl: item.as_ref().clone(), cost: one_more }
        }
        ("_[_]", [Kind::Map(value), Kind::String | Kind::Dyn]) => {
            Info { decl: value.as_ref().clone(), cost: one_more }
        }
        ("_[_]", [Kind::Dyn | Kind::Optional(_), _]) => Info { decl: Decl::dynamic(), cost: one_more },
        ("_[_]", _) => return Err(refuse()),
        ("-_", [a]) if is_number(a) || **a == Kind::Dyn => Info::new((*a).clone(), one_more),
        ("-_", _) => return Err(refuse()),
        ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [_, _]) => return arithmetic(name, args, spent).map(Some),
        _ => return Ok(None),
    };
    Ok(Some(info))
}

fn comparable(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::Dyn | Kind::Null, _) | (_, Kind::Dyn | Kind::Null) => true,
        (Kind::List(a), Kind::List(b)) | (Kind::Map(a), Kind::Map(b)) => comparable(&a.kind, &b.kind),
        (Kind::Object(_), Kind::Object(_) | Kind::Map(_)) | (Kind::Map(_), Kind::Object(_)) => true,
        (Kind::Optional(a), Kind::Optional(b)) => comparable(&a.kind, &b.kind),
        (a, b) => a == b,
    }
}

fn arithmetic(name: &str, args: &[Info], spent: u64) -> Result<Info, String> {
    let one_more = spent.saturating_add(1);
    let size = args[0].decl.size.saturating_add(args[1].decl.size);
    Ok(match (name, &args[0].decl.kind, &args[1].decl.kind) {
        ("_%_", Kind::Double, _) | ("_%_", _, Kind::Double) => return Err(mismatch(name, args)),
        (_, Kind::Dyn, other) | (_, other, Kind::Dyn) => match other {
            Kind::Dyn => Info::sized(Kind::Dyn, size, spent.saturating_add(traverse(size, TRAVERSAL))),
            other => Info::sized(other.clone(), size, one_more),
        },
        (_, a, b) if a == b && is_number(a) => Info::new(a.clone(), one_more),
        ("_+_", Kind::String, Kind::String) | ("_+_", Kind::Bytes, Kind::Bytes) => {
            Info::sized(args[0].decl.kind.clone(), size, spent.saturating_add(traverse(size, TRAVERSAL)))
        }
        ("_+_", Kind::List(a), Kind::List(b)) => {
            Info::sized(Kind::List(Rc::new(known(a, b))), size, one_more)
        }
        ("_+_", Kind::Timestamp, Kind::Duration) | ("_+_", Kind::Duration, Kind::Timestamp) => {
            Info::new(Kind::Timestamp, one_more)
        }
        ("_-_", Kind::Timestamp, Kind::Duration) => Info::new(Kind::Timestamp, one_more),
        ("_-_", Kind::Timestamp, Kind::Timestamp) | ("_+_" | "_-_", Kind::Duration, Kind::Duration) => {
            Info::new(Kind::Duration, one_more)
        }
        _ => return Err(mismatch(name, args)),
    })
}

/// `a.?b`, `a[?b]` and what optional values answer; `None` for other functions.
fn optionals(name: &str, args: &[Info], call: &CallExpr, spent: u64) -> Option<Info> {
    let cost = spent.saturating_add(1);
    let first = &args.first()?.decl;
    let inner = match &first.kind {
        Kind::Optional(inner) => inner.as_ref().clone(),
        _ => first.clone(),
    };
    Some(match (name, &first.kind) {
        ("_?._", _) => {
            let field = call.args.last().and_then(|arg| match &arg.expr {
                Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
                _ => None,
            })?;
            Info { decl: optional(field_of(&inner, &field).unwrap_or_else(|_| Decl::dynamic())), cost }
        }
        ("_[?_]", _) => {
            let item = match &inner.kind {
                Kind::List(item) | Kind::Map(item) => item.as_ref().clone(),
                _ => Decl::dynamic(),
            };
            Info { decl: optional(item), cost }
        }
        ("hasValue", Kind::Optional(_)) => Info::new(Kind::Bool, cost),
        ("value", Kind::Optional(_)) => Info { decl: inner, cost },
        ("orValue", Kind::Optional(_)) => {
            let other = args.get(1).map_or_else(Decl::dynamic, |arg| arg.decl.clone());
            Info { decl: known(&inner, &other), cost }
        }
        _ => return None,
    })
}

/// A function by its name: what it answers, and what it costs beyond its arguments.
fn function(name: &str, method: bool, args: &[Info], spent: u64) -> Info {
    let size = args.first().map_or(1, |arg| arg.decl.size);
    let second = args.get(1).map_or(1, |arg| arg.decl.size);
    let with = |kind: Kind, size: u64, more: u64| Info::sized(kind, size, spent.saturating_add(more.max(1)));
    let whole = traverse(size, TRAVERSAL);
    match (name, method) {
        ("size", _) => with(Kind::Int, 1, 1),
        ("startsWith" | "endsWith", true) => with(Kind::Bool, 1, traverse(second, TRAVERSAL)),
        ("matches", true) => {
            let text = traverse(size.saturating_add(1), TRAVERSAL);
            with(Kind::Bool, 1, text.saturating_mul(traverse(second, REGEX)))
        }
        ("contains", true) => with(Kind::Bool, 1, whole.saturating_mul(traverse(second, TRAVERSAL))),
        ("int" | "indexOf" | "lastIndexOf", _) => with(Kind::Int, 1, if method { whole } else { 1 }),
        ("uint", false) => with(Kind::Uint, 1, 1),
        ("double", false) => with(Kind::Double, 1, 1),
        ("bool", false) => with(Kind::Bool, 1, 1),
        ("string", false) => with(Kind::String, size.max(32), whole),
        ("bytes", false) => with(Kind::Bytes, size.saturating_mul(4), whole),
        ("timestamp", false) => with(Kind::Timestamp, 1, 1),
        ("duration", false) => with(Kind::Duration, 1, 1),
        ("type", false) => with(Kind::Type, 1, 1),
        ("lowerAscii" | "upperAscii" | "trim" | "replace" | "substring" | "charAt", true) => {
            with(Kind::String, size, whole)
        }
        ("join", true) => with(Kind::String, size.saturating_mul(1 << 10), whole),
        ("split" | "findAll", true) => {
            let item = Decl::sized(Kind::String, size);
            with(Kind::List(Rc::new(item)), size, whole)
        }
        ("find", true) => with(Kind::String, size, whole),
        (
            "isSorted" | "isQuantity" | "isURL" | "isIP" | "isCIDR" | "isLessThan" | "isGreaterThan"
            | "isInteger" | "containsIP" | "containsCIDR" | "isSemver",
            _,
        ) => with(Kind::Bool, 1, size.max(1)),
        _ => Info { decl: Decl::sized(Kind::Dyn, size), cost: spent.saturating_add(whole.max(1)) },
    }
}
