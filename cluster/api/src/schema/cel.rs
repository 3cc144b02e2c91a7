//! `x-kubernetes-validations`: CEL rules and their values.
//!
//! A rule sees the value it stands at as `self` and, on updates, what it was as `oldSelf`. There is
//! no cost meter in the interpreter: the rules of one object are refused when their nested loops
//! could take more than [`BUDGET`] together.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr};
use kube_cel::cel::objects::{Key, Map as CelMap, OptionalValue};
use kube_cel::cel::{Context, ParseErrors, Program, Value as CelValue};
use serde_json::Value;

use super::formats::{self, Format};
use super::tree::{Schema, Type};
use crate::field::{FieldError, FieldErrorKind};

/// See [`nesting`]: more could overflow a thread's stack.
const DEEPEST: usize = 1000;
/// What a bracket counts of it.
const BRACKET: usize = 30;
/// Up to here the stack of any thread is enough for an evaluation.
const SHALLOW: usize = 60;

/// Loop iterations that the rules may need for one object.
pub(super) const BUDGET: u64 = 10_000_000;

/// Identifiers of CEL: a property with such a name is read as `__NAME__`.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

static FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

/// One rule, compiled.
#[derive(Debug)]
pub struct CelRule {
    pub source: String,
    program: Program,
    message: Option<String>,
    message_expression: Option<Program>,
    reason: Option<FieldErrorKind>,
    /// `.spec.size`, appended to the path of the value.
    field_path: String,
    uses_old: bool,
    old_is_optional: bool,
    /// How deep loops are nested.
    depth: u32,
    /// An evaluation may need much stack.
    deep: bool,
}

impl CelRule {
    /// Reads one element of `x-kubernetes-validations`. The error's path is relative to it.
    pub fn read(rule: &Value) -> Result<Self, FieldError> {
        let text = |name: &str| rule.get(name).and_then(Value::as_str);
        let source = text("rule").unwrap_or_default().to_string();
        if source.trim().is_empty() {
            return Err(FieldError::required("rule", "rule is not specified"));
        }
        let compile = |field: &str, source: &str| {
            if nesting(source) > DEEPEST {
                let detail = "compilation failed: expression recursion limit exceeded";
                return Err(FieldError::invalid(field, source, detail));
            }
            compiled(source)
                .map_err(|e| FieldError::invalid(field, source, format!("compilation failed: {e}")))
        };
        let program = compile("rule", &source)?;
        let message_expression = match text("messageExpression") {
            Some(source) => Some(compile("messageExpression", source)?),
            None => None,
        };
        let reason = match text("reason") {
            None => None,
            Some("FieldValueInvalid") => Some(FieldErrorKind::Invalid),
            Some("FieldValueForbidden") => Some(FieldErrorKind::Forbidden),
            Some("FieldValueRequired") => Some(FieldErrorKind::Required),
            Some("FieldValueDuplicate") => Some(FieldErrorKind::Duplicate),
            Some(other) => {
                let known =
                    ["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"];
                return Err(FieldError::not_supported("reason", other, known));
            }
        };
        Ok(Self {
            uses_old: program.references().has_variable("oldSelf"),
            depth: depth_of(program.expression()),
            deep: nesting(&source).max(text("messageExpression").map_or(0, nesting)) > SHALLOW,
            program,
            message: text("message").map(|m| m.trim().to_string()),
            message_expression,
            reason,
            field_path: field_path(text("fieldPath").unwrap_or_default()),
            old_is_optional: rule.get("optionalOldSelf") == Some(&Value::Bool(true)),
            source,
        })
    }

    /// What the rule says.
    pub(super) fn expression(&self) -> &IdedExpr {
        self.program.expression()
    }

    /// What makes the message.
    pub(super) fn message_expression(&self) -> Option<&IdedExpr> {
        self.message_expression.as_ref().map(Program::expression)
    }

    /// Whether `oldSelf` may be nothing.
    pub(super) fn old_is_optional(&self) -> bool {
        self.old_is_optional
    }

    /// Whether a walk over the rule may need much stack.
    pub(super) fn is_deep(&self) -> bool {
        self.deep
    }

    /// Whether an unchanged value may keep failing the rule.
    pub fn is_transition(&self) -> bool {
        self.uses_old
    }

    /// What the rule has against the value. Takes what it may need from the budget, and the whole
    /// of it when that does not suffice.
    pub fn check(
        &self,
        schema: &Schema,
        value: &Value,
        old: Option<&Value>,
        path: &str,
        budget: &mut u64,
    ) -> Option<FieldError> {
        if !self.deep {
            return self.judge(schema, value, old, path, budget);
        }
        on_large_stack(|| self.judge(schema, value, old, path, budget)).unwrap_or_else(|| {
            Some(FieldError::invalid(path, Value::Null, format!("{} can not be evaluated", self.name())))
        })
    }

    fn judge(
        &self,
        schema: &Schema,
        value: &Value,
        old: Option<&Value>,
        path: &str,
        budget: &mut u64,
    ) -> Option<FieldError> {
        if self.uses_old && old.is_none() && !self.old_is_optional {
            return None;
        }
        let shown = match value {
            Value::Object(_) | Value::Array(_) => Value::Null,
            scalar => scalar.clone(),
        };
        let steps = size_of(value).checked_pow(self.depth);
        let left = steps.and_then(|steps| budget.checked_sub(steps));
        *budget = left.unwrap_or(0);
        if left.is_none() {
            let detail = "validation failed due to running out of cost budget, no further validation rules will be run";
            return Some(FieldError::invalid(path, shown, detail));
        }
        let mut context = FUNCTIONS.new_inner_scope();
        context.add_variable_from_value("self", to_cel(schema, value));
        let old = old.map(|old| to_cel(schema, old));
        match (self.old_is_optional, old) {
            (true, old) => {
                let old = old.map_or_else(OptionalValue::none, OptionalValue::of);
                context.add_variable_from_value("oldSelf", CelValue::Opaque(Arc::new(old)));
            }
            (false, Some(old)) => context.add_variable_from_value("oldSelf", old),
            (false, None) => {}
        }
        match self.program.execute(&context) {
            Ok(CelValue::Bool(true)) => None,
            Ok(CelValue::Bool(false)) => Some(self.refusal(&context, shown, path)),
            Ok(_) => {
                let detail = format!("cel expression must evaluate to a bool: {}", self.source);
                Some(FieldError::invalid(path, shown, detail))
            }
            Err(error) => {
                let detail = format!("{error} evaluating rule: {}", self.name());
                Some(FieldError::invalid(path, shown, detail))
            }
        }
    }

    fn refusal(&self, context: &Context<'_>, shown: Value, path: &str) -> FieldError {
        let made = self.message_expression.as_ref().and_then(|program| {
            match program.execute(context) {
                Ok(CelValue::String(text)) => {
                    let text = text.trim().to_string();
                    (!text.is_empty() && !text.contains('\n')).then_some(text)
                }
                // A message that can not be made falls back to the fixed one.
                _ => None,
            }
        });
        let detail = made.unwrap_or_else(|| match &self.message {
            Some(message) if !message.is_empty() => message.clone(),
            _ => format!("failed rule: {}", self.source.trim()),
        });
        let path = format!("{path}{}", self.field_path);
        let path = path.strip_prefix('.').unwrap_or(&path);
        let kind = self.reason.unwrap_or(FieldErrorKind::Invalid);
        FieldError::new(kind, path, shown, detail)
    }

    fn name(&self) -> &str {
        match &self.message {
            Some(message) if !message.is_empty() => message,
            _ => &self.source,
        }
    }
}

/// `.a['b c'].d` as `.a[b c].d`.
fn field_path(text: &str) -> String {
    text.replace("['", "[").replace("']", "]")
}

/// Code points of an expression; what Kubernetes' own CEL library takes.
const LONGEST: usize = 100_000;
/// Errors of one expression that are told: each quotes its line.
const TOLD: usize = 10;

fn compiled(source: &str) -> Result<Program, String> {
    let size = source.chars().count();
    if size > LONGEST {
        return Err(format!("expression code point size exceeds limit: size: {size}, limit {LONGEST}"));
    }
    let told = |mut wrong: ParseErrors| {
        wrong.errors.truncate(TOLD);
        wrong.to_string()
    };
    let compile = || Program::compile(source).map_err(told);
    on_large_stack(compile).unwrap_or_else(|| Err("the compiler does not understand it".to_owned()))
}

/// The compiler takes tens of kilobytes of stack for each bracket, and the evaluation of long chains a few for
/// each operator: they get a stack of their own. None after a panic.
pub(super) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK: usize = 128 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        thread.ok()?.join().ok()
    })
}

/// How deep the compiler and the evaluation of an expression may go at most, up to [`DEEPEST`]. Both recurse: into brackets,
/// through several of their functions each, and into chains of operators. What is no well-formed expression is
/// never taken for less deep than a parser that reads on after an error may find it.
fn nesting(source: &str) -> usize {
    let mut open = vec![(' ', 0)];
    let (mut deepest, mut rest) = (0, source);
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        let raw = source[..source.len() - rest.len()].ends_with(['r', 'R']);
        rest = match letter {
            '\'' | '"' => after_string(rest, raw).unwrap_or(after),
            '/' if after.starts_with('/') => after.find('\n').map_or("", |end| &after[end..]),
            _ => after,
        };
        let closes = open.last().is_some_and(|(closing, _)| *closing == letter);
        match letter {
            ')' | ']' | '}' if closes => drop(open.pop()),
            letter if letter.is_alphanumeric() || letter.is_whitespace() || letter == '_' => continue,
            _ => {
                if let Some((_, depth)) = open.last_mut() {
                    *depth = if letter == ',' { BRACKET } else { *depth + 1 };
                }
            }
        }
        match letter {
            '(' => open.push((')', BRACKET)),
            '[' => open.push((']', BRACKET)),
            '{' => open.push(('}', BRACKET)),
            _ => {}
        }
        deepest = deepest.max(open.iter().map(|(_, depth)| depth).sum());
        if deepest > DEEPEST {
            break;
        }
    }
    deepest
}

/// What follows the string that begins here; nothing when it does not end.
fn after_string(text: &str, raw: bool) -> Option<&str> {
    let quote = &text[..1];
    let triple = quote.repeat(3);
    let (end, lines) = if text.starts_with(&triple) { (triple.as_str(), true) } else { (quote, false) };
    let mut rest = &text[end.len()..];
    loop {
        if let Some(after) = rest.strip_prefix(end) {
            return Some(after);
        }
        let mut letters = rest.chars();
        match letters.next()? {
            '\\' if !raw => drop(letters.next()),
            '\n' | '\r' if !lines => return None,
            _ => {}
        }
        rest = letters.as_str();
    }
}

/// How many values there are in a value.
fn size_of(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(size_of).sum::<u64>(),
        Value::Object(map) => 1 + map.values().map(size_of).sum::<u64>(),
        Value::String(text) => 1 + text.len() as u64 / 256,
        _ => 1,
    }
}

fn depth_of(expression: &IdedExpr) -> u32 {
    let deepest = |list: &[&IdedExpr]| list.iter().map(|e| depth_of(e)).max().unwrap_or(0);
    match &expression.expr {
        Expr::Call(call) => {
            let mut parts: Vec<&IdedExpr> = call.args.iter().collect();
            parts.extend(call.target.as_deref());
            deepest(&parts)
        }
        Expr::Comprehension(c) => {
            let range = depth_of(&c.iter_range);
            let inner = [&c.accu_init, &c.loop_cond, &c.loop_step, &c.result];
            range.max(1 + inner.iter().map(|e| depth_of(e)).max().unwrap_or(0))
        }
        Expr::List(list) => deepest(&list.elements.iter().collect::<Vec<_>>()),
        Expr::Map(map) => {
            let mut parts = Vec::new();
            for entry in &map.entries {
                match &entry.expr {
                    EntryExpr::MapEntry(entry) => parts.extend([&entry.key, &entry.value]),
                    EntryExpr::StructField(field) => parts.push(&field.value),
                }
            }
            deepest(&parts)
        }
        Expr::Select(select) => depth_of(&select.operand),
        _ => 0,
    }
}

/// Whether a variable may not have this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// A property's name as CEL spells it.
pub(super) fn escape(name: &str) -> String {
    if is_reserved(name) {
        return format!("__{name}__");
    }
    if !name.contains(['.', '-', '/']) && !name.contains("__") {
        return name.to_string();
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

fn to_cel(schema: &Schema, value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(b) => CelValue::Bool(*b),
        Value::Number(number) => match (schema.kind, number.as_i64()) {
            (Type::Number, _) | (_, None) => CelValue::Float(number.as_f64().unwrap_or(f64::NAN)),
            (_, Some(integer)) => CelValue::Int(integer),
        },
        Value::String(text) => string_to_cel(schema, text),
        Value::Array(items) => {
            let item = schema.item().cloned().unwrap_or_default();
            let items = items.iter().map(|value| to_cel(&item, value));
            CelValue::List(Arc::new(items.collect()))
        }
        Value::Object(map) => {
            let nothing = Arc::new(Schema::default());
            let is_map = schema.additional.is_some();
            let entries = map.iter().map(|(name, value)| {
                let child = schema.child(name).unwrap_or(&nothing);
                let name = if is_map { name.clone() } else { escape(name) };
                (Key::from(name), to_cel(child, value))
            });
            let entries: HashMap<Key, CelValue> = entries.collect();
            CelValue::Map(CelMap { map: Arc::new(entries) })
        }
    }
}

fn string_to_cel(schema: &Schema, text: &str) -> CelValue {
    let plain = || CelValue::String(Arc::new(text.to_string()));
    let format = schema.rules.as_ref().and_then(|rules| rules.format);
    match format {
        Some(Format::DateTime | Format::Date) => evaluate(&format!("timestamp({text:?})")),
        Some(Format::Duration) => {
            let nanoseconds = formats::duration(text);
            nanoseconds.and_then(|n| evaluate(&format!("duration(\"{n}ns\")")))
        }
        Some(Format::Byte) => evaluate(&format!("base64.decode({text:?})")),
        _ => None,
    }
    .unwrap_or_else(plain)
}

/// A constant, made by the interpreter so that it is of the interpreter's own type.
fn evaluate(source: &str) -> Option<CelValue> {
    let program = Program::compile(source).ok()?;
    program.execute(&FUNCTIONS).ok()
}
