//! Golden bytes, after the layouts of `nf_tables.h`.

use super::{Batch, Element, Expression, Field, Hook, Part, Register, SetKind, Value, Verdict};

/// The bytes without the alignment of a dump, as hexadecimal words of four bytes.
fn words(bytes: &[u8]) -> String {
    bytes
        .chunks(4)
        .map(|c| c.iter().map(|b| format!("{b:02x}")).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_batch_begins_and_ends_and_asks_for_one_answer() {
    let mut batch = Batch::new("trireme");
    batch.add_table();
    batch.delete_table();
    assert_eq!(
        words(&batch.into_bytes()),
        "14000000 10000100 00000000 00000000 0000000a \
         20000000 000a0504 01000000 00000000 02000000 0c000100 74726972 656d6500 \
         20000000 020a0100 02000000 00000000 02000000 0c000100 74726972 656d6500 \
         14000000 11000100 03000000 00000000 0000000a"
    );
}

#[test]
fn a_rule_is_a_list_of_expressions() {
    let mut batch = Batch::new("t");
    let expressions = [
        Expression::Payload { field: Field::DestinationPort, into: Register(2) },
        Expression::equal(Register(2), 53u16.to_be_bytes()),
        Expression::Verdict(Verdict::Goto("c".into())),
    ];
    batch.add_rule("b", &expressions);
    let bytes = words(&batch.into_bytes());
    let expected = "060a050c 01000000 00000000 02000000 \
         06000100 74000000 06000200 62000000 \
         9c000480 \
         34000180 0c000100 7061796c 6f616400 24000280 08000100 0000000a 08000200 00000002 08000300 00000002 08000400 00000002 \
         2c000180 08000100 636d7000 20000280 08000100 0000000a 08000200 00000000 0c000380 06000100 00350000 \
         38000180 0e000100 696d6d65 64696174 65000000 24000280 08000100 00000000 \
         18000280 14000280 08000100 fffffffc 06000200 63000000";
    assert!(bytes.contains(expected), "{bytes}");
}

#[test]
fn hooks_sets_and_elements() {
    let mut batch = Batch::new("t");
    batch.add_chain("c", Some(Hook { kind: "nat", number: 0, priority: -100 }));
    batch.add_set("s", &[Part::Address, Part::Protocol, Part::Port], SetKind::VerdictMap);
    batch.add_elements("s", [Element { key: vec![1, 2, 3, 4], value: Value::Bytes(vec![5, 6]) }]);
    batch.delete_elements("s", [vec![1, 2, 3, 4]]);
    let bytes = words(&batch.into_bytes());
    assert!(
        bytes.contains("14000480 08000100 00000000 08000200 ffffff9c 08000500 00000001 08000700 6e617400"),
        "{bytes}"
    );
    assert!(
        bytes.contains("08000300 00000008 08000400 0000730d 08000500 0000000c 08000600 ffffff00"),
        "{bytes}"
    );
    assert!(
        bytes.contains("20000380 1c000180 0c000180 08000100 01020304 0c000280 06000100 05060000"),
        "{bytes}"
    );
    assert!(
        bytes.contains("0e0a0100") && bytes.contains("14000380 10000180 0c000180 08000100 01020304"),
        "{bytes}"
    );
}

#[test]
fn many_elements_are_several_messages() {
    let mut batch = Batch::new("t");
    batch.add_elements(
        "s",
        (0..10_000u32).map(|i| Element { key: i.to_be_bytes().to_vec(), value: Value::Nothing }),
    );
    let bytes = batch.into_bytes();
    let sizes: Vec<usize> = {
        let mut at = 0;
        std::iter::from_fn(|| {
            let len = u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize;
            at += len;
            Some(len)
        })
        .collect()
    };
    assert!(sizes.len() > 4 && sizes.iter().all(|s| *s < 65_536), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), bytes.len());
}
