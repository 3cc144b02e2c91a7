//! Custom resources: reading the schema, pruning, defaults, validation, CEL rules.

use api::schema::{self, Schema};
use serde_json::{Value, json};

use crate::yaml;

fn spec(properties: &str) -> Schema {
    let schema = json!({
        "type": "object",
        "properties": { "spec": { "type": "object", "properties": yaml(properties) } },
    });
    schema::from_crd(&schema).unwrap()
}

fn object(spec: &str) -> Value {
    json!({
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": { "name": "w" },
        "spec": yaml(spec),
    })
}

fn errors(schema: &Schema, new: &str, old: Option<&str>) -> Vec<String> {
    let old = old.map(object);
    let errors = schema::validate(schema, &object(new), old.as_ref());
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_fields_go_unless_they_are_kept() {
    let schema = spec(
        "
a: {type: object, properties: {b: {type: string}}}
open: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {known: {type: object, properties: {x: {type: string}}}}}
map: {type: object, additionalProperties: {type: object, properties: {x: {type: string}}}}
pod: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
",
    );
    let mut value = object(
        "{a: {b: x, c: y}, open: {z: 1, known: {x: a, y: b}}, map: {k: {x: a, y: b}}, pod: {apiVersion: v1, kind: Pod, metadata: {name: a, bogus: 1}, spec: {}}, bad: 1}",
    );
    let mut unknown = schema::prune(&schema, &mut value);
    unknown.sort();
    assert_eq!(
        unknown,
        ["spec.a.c", "spec.bad", "spec.map.k.y", "spec.open.known.y", "spec.pod.metadata.bogus"]
    );
    let left = "{a: {b: x}, open: {z: 1, known: {x: a}}, map: {k: {x: a}}, pod: {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}}}";
    assert_eq!(value, object(left));
}

#[test]
fn defaults_are_filled_in_outermost_first() {
    let schema = spec(
        "
a: {type: object, default: {}, properties: {b: {type: string, default: x}, c: {type: string, nullable: true, default: 'y'}}}
l: {type: array, items: {type: object, properties: {p: {type: string, default: TCP}}}}
m: {type: object, additionalProperties: {type: object, properties: {p: {type: integer, default: 1}}}}
n: {type: string}
",
    );
    let mut value = object("{l: [{}, {p: UDP}], m: {k: {}}, n: null}");
    schema::default(&schema, &mut value);
    let expected = "{a: {b: x, c: 'y'}, l: [{p: TCP}, {p: UDP}], m: {k: {p: 1}}}";
    assert_eq!(value, object(expected));
    let mut value = object("{a: {b: null, c: null}}");
    schema::default(&schema, &mut value);
    assert_eq!(value, object("{a: {b: x, c: null}}"));
}

/// properties of the spec, spec, errors
const VALUES: &[(&str, &str, &[&str])] = &[
    (
        "{n: {type: integer, minimum: 1, maximum: 5}}",
        "{n: 0}",
        &["spec.n: Invalid value: 0: spec.n in body should be greater than or equal to 1"],
    ),
    (
        "{n: {type: integer, maximum: 5, exclusiveMaximum: true, multipleOf: 2}}",
        "{n: 5}",
        &[
            "spec.n: Invalid value: 5: spec.n in body should be less than 5",
            "spec.n: Invalid value: 5: spec.n in body should be a multiple of 2",
        ],
    ),
    (
        "{s: {type: string, minLength: 2, pattern: '^a'}}",
        "{s: b}",
        &[
            "spec.s: Invalid value: \"b\": spec.s in body should be at least 2 chars long",
            "spec.s: Invalid value: \"b\": spec.s in body should match '^a'",
        ],
    ),
    ("{s: {type: string, maxLength: 2}}", "{s: abc}", &["spec.s: Too long: may not be more than 2 bytes"]),
    (
        "{s: {type: string, enum: [a, b]}}",
        "{s: c}",
        &["spec.s: Unsupported value: \"c\": supported values: \"a\", \"b\""],
    ),
    (
        "{s: {type: string}}",
        "{s: 1}",
        &["spec.s: Invalid value: \"integer\": spec.s in body must be of type string: \"integer\""],
    ),
    (
        "{s: {type: string, format: date-time}}",
        "{s: nope}",
        &["spec.s: Invalid value: \"nope\": spec.s in body must be of type date-time: \"nope\""],
    ),
    (
        "{l: {type: array, maxItems: 1, items: {type: string}}}",
        "{l: [a, b]}",
        &["spec.l: Too many: 2: must have at most 1 items"],
    ),
    (
        "{o: {type: object, required: [a], properties: {a: {type: string}}}}",
        "{o: {}}",
        &["spec.o.a: Required value"],
    ),
    (
        "{l: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, properties: {k: {type: string}}}}}",
        "{l: [{k: a}, {k: a}]}",
        &["spec.l[1]: Duplicate value: {\"k\":\"a\"}"],
    ),
    (
        "{l: {type: array, x-kubernetes-list-type: set, items: {type: string}}}",
        "{l: [a, b, a]}",
        &["spec.l[2]: Duplicate value: \"a\""],
    ),
    ("{p: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}}", "{p: '80%'}", &[]),
    (
        "{o: {type: object, properties: {a: {type: string}, b: {type: string}}, oneOf: [{required: [a]}, {required: [b]}]}}",
        "{o: {a: x, b: z}}",
        &[
            "spec.o: Invalid value: \"\": \"spec.o\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ],
    ),
];

#[test]
fn values_are_validated_in_kubernetes_words() {
    for (properties, value, expected) in VALUES {
        assert_eq!(errors(&spec(properties), value, None), *expected, "{properties}");
    }
}

#[test]
fn what_did_not_change_is_not_checked_again() {
    let schema = spec("{n: {type: integer, minimum: 1}, s: {type: string}}");
    assert_eq!(errors(&schema, "{n: 0, s: b}", Some("{n: 0, s: a}")), [""; 0]);
    assert_eq!(errors(&schema, "{n: -1}", Some("{n: 0}")).len(), 1);
}

/// properties of the spec, new, old, errors
type Rule = (&'static str, &'static str, Option<&'static str>, &'static [&'static str]);

const RULES: &[Rule] = &[
    (
        "{n: {type: integer, x-kubernetes-validations: [{rule: 'self > 2', message: too small}]}}",
        "{n: 1}",
        None,
        &["spec.n: Invalid value: 1: too small"],
    ),
    (
        "{o: {type: object, properties: {a: {type: integer}, b: {type: integer}}, x-kubernetes-validations: [{rule: 'self.a <= self.b', messageExpression: '\"a must be at most \" + string(self.b)', reason: FieldValueForbidden, fieldPath: .a}]}}",
        "{o: {a: 3, b: 2}}",
        None,
        &["spec.o.a: Forbidden: a must be at most 2"],
    ),
    (
        "{n: {type: integer, x-kubernetes-validations: [{rule: 'self >= oldSelf', message: can only grow}]}}",
        "{n: 1}",
        Some("{n: 2}"),
        &["spec.n: Invalid value: 1: can only grow"],
    ),
    ("{n: {type: integer, x-kubernetes-validations: [{rule: 'self >= oldSelf'}]}}", "{n: 1}", None, &[]),
    (
        "{n: {type: integer, x-kubernetes-validations: [{rule: '!oldSelf.hasValue() || self == oldSelf.value()', optionalOldSelf: true, message: fixed}]}}",
        "{n: 1}",
        None,
        &[],
    ),
    (
        "{l: {type: array, items: {type: string}, x-kubernetes-validations: [{rule: 'self.all(x, x.startsWith(\"a\"))'}]}}",
        "{l: [ab, ba]}",
        None,
        &["spec.l: Invalid value: failed rule: self.all(x, x.startsWith(\"a\"))"],
    ),
    (
        "{o: {type: object, properties: {my-key: {type: string}, namespace: {type: string}, a_b: {type: string}}, x-kubernetes-validations: [{rule: 'self.my__dash__key == self.__namespace__ && self.a_b == \"z\"'}]}}",
        "{o: {my-key: a, namespace: a, a_b: z}}",
        None,
        &[],
    ),
    (
        "{t: {type: string, format: date-time, x-kubernetes-validations: [{rule: 'self > timestamp(\"2024-01-01T00:00:00Z\")'}]}, d: {type: string, format: duration, x-kubernetes-validations: [{rule: 'self <= duration(\"1h\")'}]}}",
        "{t: '2025-01-01T00:00:00Z', d: 30m}",
        None,
        &[],
    ),
    (
        "{s: {type: string, x-kubernetes-validations: [{rule: 'isQuantity(self) && quantity(self).isLessThan(quantity(\"1Gi\"))'}]}}",
        "{s: 2Mi}",
        None,
        &[],
    ),
];

#[test]
fn cel_rules_hold() {
    for (properties, new, old, expected) in RULES {
        assert_eq!(errors(&spec(properties), new, *old), *expected, "{properties}");
    }
}

#[test]
fn rules_wait_for_a_well_formed_object() {
    let schema = spec(
        "{n: {type: integer, x-kubernetes-validations: [{rule: 'self > 2'}]}, o: {type: object, required: [a], properties: {a: {type: string}}}}",
    );
    let found = errors(&schema, "{n: 1, o: {}}", None);
    assert_eq!(found[0], "spec.o.a: Required value");
    assert!(found[1].starts_with("<nil>: Invalid value: \"null\": some validation rules were not"));
    assert_eq!(found.len(), 2);
}

#[test]
fn rules_that_could_run_for_long_do_not_run() {
    let schema = spec(
        "{l: {type: array, items: {type: integer}, x-kubernetes-validations: [{rule: 'self.all(x, self.all(y, self.all(z, x + y + z >= 0)))'}]}}",
    );
    let list: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let found = errors(&schema, &format!("{{l: [{}]}}", list.join(",")), None);
    assert!(found[0].contains("cost budget"), "{found:?}");
    let few = errors(&schema, "{l: [1, 2, 3]}", None);
    assert_eq!(few, [""; 0]);
}

#[test]
fn metadata_may_be_restricted() {
    let schema = schema::from_crd(&yaml(
        "{type: object, properties: {metadata: {type: object, properties: {name: {type: string, maxLength: 3}}}}}",
    ));
    let schema = schema.unwrap();
    let mut value = object("{}");
    value["metadata"]["name"] = json!("long-name");
    let found = schema::validate(&schema, &value, None);
    assert_eq!(found[0].path, "metadata.name");
}

#[test]
fn schemas_that_are_not_structural_are_refused() {
    let cases = [
        ("{type: array}", "type: Invalid value: \"array\": must be object at the root"),
        (
            "{type: object, properties: {a: {description: no type}}}",
            "properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            "{type: object, properties: {a: {type: array}}}",
            "properties[a].items: Required value: must be specified",
        ),
        (
            "{type: object, properties: {a: {type: string, pattern: '('}}}",
            "properties[a].pattern: Invalid value: \"(\"",
        ),
        (
            "{type: object, properties: {a: {type: object, $ref: x}}}",
            "properties[a].$ref: Forbidden: $ref is not supported",
        ),
        (
            "{type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: 'self >'}]}}}",
            "properties[a].x-kubernetes-validations[0].rule: Invalid value: \"self >\": compilation failed",
        ),
        (
            "{type: object, properties: {a: {type: array, x-kubernetes-list-type: map, items: {type: object}}}}",
            "properties[a].x-kubernetes-list-map-keys: Required value",
        ),
    ];
    for (schema, message) in cases {
        let found = schema::from_crd(&yaml(schema)).unwrap_err();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|e| e.starts_with(message)), "{schema}: {found:?}");
    }
}

/// Rules that nest until a parser or an evaluation would leave its stack.
#[test]
fn rules_do_not_nest_without_end() {
    let read = |rule: String| {
        let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}],
            "properties": {"n": {"type": "integer"}, "b": {"type": "boolean"}}});
        // Where a limit is too high, this overflows.
        schema::from_crd(&schema)
            .map(|schema| schema::validate(&schema, &json!({"n": 1, "b": true}), None).len())
    };
    let around = |open: &str, core: &str, close: &str, times: usize| {
        format!("{}{core}{}", open.repeat(times), close.repeat(times))
    };
    let forms = [
        ("(", "self.b", ")"),
        ("!", "self.b", ""),
        ("-", "1", " == 1"),
        ("[", "1", "]"),
        ("{1: ", "1", "}"),
        ("true ? true : ", "self.b", ""),
        ("self.b || ", "self.b", ""),
        ("1 + ", "1 == 2", ""),
        ("self.", "n", ""),
        ("size(", "self", ")"),
        ("[1].all(x, ", "true", ")"),
        ("", "self", "[0]"),
        ("!(", "self.b", ")"),
    ];
    for (open, core, close) in forms {
        for times in [1, 20, 30, 240, 450, 900, 100_000] {
            let outcome = read(around(open, core, close, times));
            assert!(times < 1000 || outcome.is_err(), "{open}{core}{close} {times}");
        }
    }
    assert!(read("(".repeat(20) + "self.b" + &")".repeat(20)).is_ok());
    assert!(read(vec!["self.n == 1"; 150].join(" || ")).is_ok());
    assert!(
        read("'((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((' != ''".into()).is_ok()
    );
}
