//! How inputs change: bytes, pieces of other inputs, words that the decoder knows, and repetition.

/// Numbers that look random.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }

    /// FNV-1a: a name for a file.
    pub fn hash(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// What breaks many readers.
const EVIL: [&[u8]; 24] = [
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"-0",
    b"1e400",
    b"NaN",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"0.1e-400",
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"\"$patch\"",
    b"~1",
    b"../",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\xa6\x80",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"%s",
    b"true",
    b"\r\n",
];

/// Another input, made of one or two of the corpus.
pub fn mutated(dice: &mut Dice, corpus: &[Vec<u8>], words: &[&str], largest: usize) -> Vec<u8> {
    let mut input = corpus[dice.roll(corpus.len())].clone();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(input.len() + 1);
        let end = (at + dice.roll(16)).min(input.len());
        match dice.roll(12) {
            0 => flip(dice, &mut input),
            1 => drop(input.splice(at..end, [])),
            2 => input.truncate(at),
            3 => insert(&mut input, at, EVIL[dice.roll(EVIL.len())]),
            4 | 5 if !words.is_empty() => {
                let word = words[dice.roll(words.len())].as_bytes();
                drop(input.splice(at..end, word.iter().copied()));
            }
            6 | 7 if !words.is_empty() => insert(&mut input, at, words[dice.roll(words.len())].as_bytes()),
            8 => repeat(dice, &mut input, at, end),
            9 => {
                let other = &corpus[dice.roll(corpus.len())];
                let from = dice.roll(other.len() + 1);
                let to = (from + dice.roll(64)).min(other.len());
                drop(input.splice(at..end, other[from..to].iter().copied()));
            }
            10 => number(dice, &mut input),
            _ => {
                let other = &corpus[dice.roll(corpus.len())];
                let from = dice.roll(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
        input.truncate(largest);
    }
    input
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}

fn flip(dice: &mut Dice, input: &mut [u8]) {
    if !input.is_empty() {
        let at = dice.roll(input.len());
        input[at] ^= 1 << dice.roll(8);
    }
}

/// A piece of the input, many times over: depth and length.
fn repeat(dice: &mut Dice, input: &mut Vec<u8>, at: usize, end: usize) {
    let piece = input[at..end].to_vec();
    let times = [2, 3, 10, 100, 1000][dice.roll(5)];
    insert(input, end, &piece.repeat(times));
}

/// A number near an edge in place of one that is there.
fn number(dice: &mut Dice, input: &mut Vec<u8>) {
    const EDGES: [&str; 12] = [
        "0",
        "-1",
        "127",
        "128",
        "255",
        "65536",
        "2147483647",
        "2147483648",
        "-2147483649",
        "9223372036854775807",
        "18446744073709551616",
        "1e308",
    ];
    let Some(start) = input.iter().position(u8::is_ascii_digit) else { return };
    let length = input[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    drop(input.splice(start..start + length, EDGES[dice.roll(EDGES.len())].bytes()));
}
