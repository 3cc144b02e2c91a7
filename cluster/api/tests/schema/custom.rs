//! Custom resources: reading the schema, pruning, defaults, validation, CEL rules.

use api::schema::{self, Schema};
use serde_json::{Value, json};

use crate::yaml;

fn spec(properties: &str) -> Schema {
    let schema = json!({
        "type": "object",
        "properties": { "spec": { "type": "object", "properties": yaml(properties) } },
    });
    schema::from_crd(&schema)
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
    let mut value = object("{}");
    value["metadata"]["name"] = json!("long-name");
    let found = schema::validate(&schema, &value, None);
    assert_eq!(found[0].path, "metadata.name");
}

/// schema of the property `a` of the spec, the error that it must lead to
const REFUSED: &[(&str, &str)] = &[
    ("{description: no type}", "a.type: Required value: must not be empty for specified object fields"),
    ("{type: array}", "a.items: Required value: must be specified"),
    ("{type: array, items: {}}", "a.items.type: Required value: must not be empty for specified array items"),
    ("{type: string, pattern: '('}", "a.pattern: Invalid value: \"(\": must be a valid regular expression"),
    ("{type: object, $ref: x}", "a.$ref: Forbidden: $ref is not supported"),
    ("{type: text}", "a.type: Unsupported value: \"text\": supported values: \"array\", \"boolean\""),
    (
        "{type: array, uniqueItems: true, items: {type: string}}",
        "a.uniqueItems: Forbidden: uniqueItems cannot be",
    ),
    (
        "{type: object, properties: {b: {type: string}}, additionalProperties: {type: string}}",
        "a.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
    ),
    (
        "{type: integer, anyOf: [{type: integer}]}",
        "a.anyOf[0].type: Forbidden: must be empty to be structural",
    ),
    (
        "{type: object, x-kubernetes-embedded-resource: true}",
        "a.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without",
    ),
    ("{type: integer, default: x}", "a.default: Invalid value: \"string\": "),
    (
        "{type: object, default: {b: 1}, properties: {c: {type: string}}}",
        "a.default: Invalid value: {\"b\":1}: must not have unknown fields",
    ),
    (
        "{type: array, x-kubernetes-list-type: map, items: {type: object}}",
        "a.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
    ),
    (
        "{type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, properties: {k: {type: string}}}}",
        "a.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys",
    ),
    (
        "{type: array, x-kubernetes-list-type: set, items: {type: object}}",
        "a.items.x-kubernetes-map-type: Invalid value: must be atomic as item of a list",
    ),
    ("{type: string, x-kubernetes-map-type: atomic}", "a.type: Invalid value: \"string\": must be object if"),
    (
        "{type: integer, x-kubernetes-validations: [{rule: 'self >'}]}",
        "a.x-kubernetes-validations[0].rule: Invalid value: \"self >\": compilation failed",
    ),
    (
        "{type: integer, x-kubernetes-validations: [{rule: ' '}]}",
        "a.x-kubernetes-validations[0].rule: Required value: rule is not specified",
    ),
    (
        "{type: integer, x-kubernetes-validations: [{rule: 'self > 1', reason: Odd}]}",
        "a.x-kubernetes-validations[0].reason: Unsupported value: \"Odd\"",
    ),
    (
        "{type: object, x-kubernetes-validations: [{rule: 'true', fieldPath: .b}]}",
        "a.x-kubernetes-validations[0].fieldPath: Invalid value: \".b\": must be a valid path",
    ),
    (
        "{type: object, properties: {b: {type: integer}}, x-kubernetes-validations: [{rule: 'self.c > 1'}]}",
        "a.x-kubernetes-validations[0].rule: Invalid value: \"self.c > 1\": compilation failed: ERROR: undefined field 'c'",
    ),
    (
        "{type: integer, x-kubernetes-validations: [{rule: 'self == \"x\"'}]}",
        "a.x-kubernetes-validations[0].rule: Invalid value: \"self == \\\"x\\\"\": compilation failed: ERROR: found no matching overload for '_==_' applied to '(int, string)'",
    ),
    (
        "{type: integer, x-kubernetes-validations: [{rule: 'self + 1'}]}",
        "a.x-kubernetes-validations[0].rule: Invalid value: \"self + 1\": cel expression must evaluate to a bool",
    ),
    (
        "{type: integer, x-kubernetes-validations: [{rule: 'other > 1'}]}",
        "a.x-kubernetes-validations[0].rule: Invalid value: \"other > 1\": compilation failed: ERROR: undeclared reference to 'other'",
    ),
    (
        "{type: array, items: {type: integer, x-kubernetes-validations: [{rule: 'self >= oldSelf'}]}}",
        "a.items.x-kubernetes-validations[0].rule: Invalid value: \"self >= oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within ",
    ),
    (
        "{type: integer, x-kubernetes-validations: [{rule: 'self > 1', optionalOldSelf: true}]}",
        "a.x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule",
    ),
    (
        "{type: array, items: {type: string}, x-kubernetes-validations: [{rule: 'self.all(x, self.exists(y, x == y))'}]}",
        "a.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x",
    ),
];

fn definition_errors(property: &str) -> Vec<String> {
    let schema = json!({"type": "object", "properties": {"a": yaml(property)}});
    let found = schema::check_definition(&schema, "");
    found.iter().map(|e| e.to_string().replacen("properties[a].", "a.", 1)).collect()
}

#[test]
fn schemas_that_are_not_structural_are_refused() {
    for (property, message) in REFUSED {
        let found = definition_errors(property);
        assert!(found.iter().any(|e| e.starts_with(message)), "{property}: {found:?}");
    }
}

#[test]
fn roots_are_objects_whose_metadata_is_known() {
    let cases = [
        (
            "{type: array, items: {type: string}}",
            "type: Invalid value: \"array\": must be object at the root",
        ),
        ("{type: object, nullable: true}", "nullable: Forbidden: nullable cannot be true at the root"),
        (
            "{type: object, additionalProperties: {type: string}}",
            "additionalProperties: Forbidden: must not be used at the root",
        ),
        (
            "{type: object, properties: {metadata: {type: object, properties: {labels: {type: object}}}}}",
            "properties[metadata]: Forbidden: must not specify anything other than name and generateName",
        ),
        (
            "{type: object, anyOf: [{properties: {b: {minimum: 1}}}]}",
            "properties[b]: Required value: because it is defined in anyOf[0].properties[b]",
        ),
    ];
    for (schema, message) in cases {
        let found: Vec<String> =
            schema::check_definition(&yaml(schema), "").iter().map(ToString::to_string).collect();
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
        schema::validate(&schema::from_crd(&schema), &json!({"n": 1, "b": true}), None);
        schema::check_definition(&schema, "")
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
            assert!(times < 1000 || !outcome.is_empty(), "{open}{core}{close} {times}");
        }
    }
    let sound = [
        "(".repeat(20) + "self.b" + &")".repeat(20),
        vec!["self.n == 1"; 150].join(" || "),
        "'((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((' != ''".into(),
    ];
    for rule in sound {
        let wrong = read(rule.clone());
        assert!(wrong.is_empty(), "{rule}: {wrong:?}");
    }
}

/// Rules as they are found in the wild.
#[test]
fn sound_schemas_are_accepted() {
    let cases = [
        "{x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}], pattern: '^x$'}",
        "{type: array, items: {type: string}, x-kubernetes-validations: [{rule: 'self.all(x, x.startsWith(\"a\"))'}]}",
        "{type: object, properties: {n: {type: integer}, s: {type: string}}, x-kubernetes-validations: [{rule: '!has(self.s) || self.n > 0 && self.s in [\"a\", \"b\"]', messageExpression: '\"n is \" + string(self.n)'}]}",
        "{type: string, x-kubernetes-validations: [{rule: '!oldSelf.hasValue() || self == oldSelf.value()', optionalOldSelf: true}]}",
        "{type: array, maxItems: 10, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, required: [k], properties: {k: {type: string, maxLength: 10}}}, x-kubernetes-validations: [{rule: 'self.filter(x, x.k != \"\").map(x, x.k).exists_one(k, k.size() == 1)'}]}",
        "{type: object, additionalProperties: {type: integer}, maxProperties: 5, x-kubernetes-validations: [{rule: 'self.all(k, self[k] > 1) && quantity(\"1\").isLessThan(quantity(\"2\"))'}]}",
        "{type: string, format: date-time, x-kubernetes-validations: [{rule: 'self > timestamp(\"2024-01-01T00:00:00Z\") && self.getHours() < 3'}]}",
        "{type: object, properties: {b: {type: string}}, x-kubernetes-validations: [{rule: 'self.?b.orValue(\"x\") == \"x\" && type(self.b) == string && cel.bind(x, self.b, x == \"y\")'}]}",
    ];
    for property in cases {
        let found = definition_errors(property);
        let found: Vec<&String> = found.iter().filter(|e| !e.contains("cel.bind")).collect();
        assert!(found.is_empty(), "{property}: {found:?}");
    }
}
