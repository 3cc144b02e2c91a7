//! Histories that an order explains, and histories that none does. Written as in the papers: one
//! line per operation, its call and return as columns.

use super::*;

/// `(invoked, returned, act)`; a return of 0 means never.
type Line = (usize, usize, Act);

fn history(lines: &[Line]) -> Vec<Timed> {
    let timed = |(id, (invoked, returned, act)): (usize, &Line)| Timed {
        id: id as u64,
        invoked: *invoked,
        returned: (*returned > 0).then_some(*returned),
        act: act.clone(),
    };
    lines.iter().enumerate().map(timed).collect()
}

fn read(token: Token) -> Act {
    Act::Read { seen: vec![(0, (token > 0).then_some(token))] }
}

fn read_both(a: Token, b: Token) -> Act {
    Act::Read { seen: vec![(0, (a > 0).then_some(a)), (1, (b > 0).then_some(b))] }
}

fn put(token: Token) -> Act {
    Act::Applied { conditions: vec![], writes: vec![(0, Some(token))] }
}

fn put_both(token: Token) -> Act {
    Act::Applied { conditions: vec![], writes: vec![(0, Some(token)), (1, Some(token))] }
}

fn delete() -> Act {
    Act::Applied { conditions: vec![Condition::Present { key: 0 }], writes: vec![(0, None)] }
}

fn create(token: Token) -> Act {
    Act::Applied { conditions: vec![Condition::Absent { key: 0 }], writes: vec![(0, Some(token))] }
}

fn swap(from: Token, to: Token) -> Act {
    let conditions = vec![Condition::OneOf { key: 0, tokens: vec![from] }];
    Act::Applied { conditions, writes: vec![(0, Some(to))] }
}

fn swap_refused(from: Token, there: Option<Token>) -> Act {
    let conditions = vec![Condition::OneOf { key: 0, tokens: vec![from] }];
    Act::Refused { conditions, key: 0, there: Some(there) }
}

fn perhaps(token: Token) -> Act {
    Act::Perhaps { conditions: vec![], writes: vec![(0, Some(token))] }
}

fn judge(lines: &[Line]) -> Explained {
    explain(&history(lines), 2)
}

#[test]
fn histories_that_an_order_explains() {
    let cases: Vec<(&str, Vec<Line>)> = vec![
        ("nothing happened", vec![]),
        ("one after the other", vec![(1, 2, read(0)), (3, 4, put(1)), (5, 6, read(1))]),
        ("a read beside a write may see either", vec![(1, 10, put(1)), (2, 3, read(0)), (4, 5, read(1))]),
        ("writes beside each other in any order", vec![(1, 4, put(1)), (2, 3, put(2)), (5, 6, read(1))]),
        ("a delete and a create", vec![(1, 2, put(1)), (3, 4, delete()), (5, 6, create(2)), (7, 8, read(2))]),
        ("an unknown write that was applied", vec![(1, 0, perhaps(1)), (3, 4, read(0)), (5, 6, read(1))]),
        (
            "an unknown write that never was",
            vec![(1, 2, put(2)), (3, 0, perhaps(1)), (4, 5, read(2)), (6, 7, read(2))],
        ),
        ("two swaps, one wins", vec![(1, 2, put(1)), (3, 6, swap(1, 2)), (4, 5, swap_refused(1, Some(2)))]),
        ("both keys at once", vec![(1, 4, put_both(1)), (2, 3, read_both(0, 0)), (5, 6, read_both(1, 1))]),
        (
            "refused by an unknown write",
            vec![(1, 2, put(1)), (3, 0, perhaps(2)), (4, 5, swap_refused(1, Some(2)))],
        ),
    ];
    for (name, lines) in cases {
        assert_eq!(judge(&lines), Explained::Yes, "{name}");
    }
}

#[test]
fn histories_that_no_order_explains() {
    let cases: Vec<(&str, u64, Vec<Line>)> = vec![
        ("a stale read", 1, vec![(1, 2, put(1)), (3, 4, read(0))]),
        ("a value that nobody wrote", 0, vec![(1, 2, read(7))]),
        ("back in time", 2, vec![(1, 10, put(1)), (2, 3, read(1)), (4, 5, read(0))]),
        ("a lost write", 2, vec![(1, 2, put(1)), (3, 4, put(2)), (5, 6, read(1))]),
        ("a torn transaction", 1, vec![(1, 4, put_both(1)), (2, 3, read_both(1, 0))]),
        ("two swaps, both win", 2, vec![(1, 2, put(1)), (3, 4, swap(1, 2)), (5, 6, swap(1, 3))]),
        ("a swap refused for nothing", 1, vec![(1, 2, put(1)), (3, 4, swap_refused(1, Some(1)))]),
        (
            "a refusal that saw what is gone",
            2,
            vec![(1, 2, put(1)), (3, 4, put(2)), (5, 6, swap_refused(9, Some(1)))],
        ),
        ("a delete that did nothing", 2, vec![(1, 2, put(1)), (3, 4, delete()), (5, 6, read(1))]),
        ("a delete of nothing", 0, vec![(1, 2, delete())]),
        ("a create over something", 1, vec![(1, 2, put(1)), (3, 4, create(2))]),
        ("an unknown write undone", 2, vec![(1, 0, perhaps(1)), (2, 3, read(1)), (4, 5, read(0))]),
        ("seen before it began", 0, vec![(1, 2, read(1)), (3, 4, put(1))]),
    ];
    for (name, stuck_at, lines) in cases {
        assert_eq!(judge(&lines), Explained::No { stuck_at }, "{name}");
    }
}

/// Many operations at one time would be too many orders without the memory of dead ends.
#[test]
fn a_wide_history_is_judged_quickly() {
    let mut lines: Vec<Line> = (1..=14).map(|token| (token, 100 + token, put(token as u64))).collect();
    lines.push((200, 201, read(3)));
    assert_eq!(judge(&lines), Explained::Yes);
    lines.push((202, 203, read(4)));
    assert_eq!(judge(&lines), Explained::No { stuck_at: 15 });
}
