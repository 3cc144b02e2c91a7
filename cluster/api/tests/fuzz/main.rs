//! Decoders under hostile input. As a test each target goes through the kept corpus and some thousand
//! mutations of it. For longer:
//!
//!     FUZZ_SECONDS=600 FUZZ_TARGETS=protobuf,cel cargo test --release -p trireme-api --test fuzz -- --nocapture
//!
//! No instrumentation is needed: what a decoder answers (its words without their numbers and quotations) stands
//! for the way that the input took. An input with a new answer joins the corpus, and in a long run it is kept in
//! `corpus/TARGET/`. A panic, an input that takes longer than [`SLOW`], or a broken promise of a target is a failure;
//! the input is printed.
//!
//! - `targets.rs`: the decoders and what they promise
//! - `mutate.rs`: how inputs change

mod mutate;
mod targets;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Dice;
use targets::{TARGETS, Target};

/// Mutations of each target in a plain test run.
const FEW: usize = 2000;
/// No input may take longer, on a busy machine and in an unoptimized build.
const SLOW: Duration = Duration::from_secs(20);
/// Larger inputs are cut.
const LARGEST: usize = 16 << 10;
/// Inputs of one target that others are made of.
const CORPUS: usize = 1000;
/// Of these the first ones are kept as files, when they are small.
const KEPT: usize = 40;
const KEPT_BYTES: usize = 1 << 10;

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target.name)
}

/// The seeds, and what was kept of other runs, in the order of the file names.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = target.seeds.iter().map(|seed| seed.to_vec()).collect();
    all.extend((target.made)());
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder(target)).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    all.extend(files.iter().map(|file| std::fs::read(file).unwrap()));
    all
}

struct Fuzzer {
    target: &'static Target,
    corpus: Vec<Vec<u8>>,
    seen: BTreeSet<String>,
    dice: Dice,
}

impl Fuzzer {
    fn new(target: &'static Target, seed: u64) -> Self {
        let mut fuzzer = Self { target, corpus: Vec::new(), seen: BTreeSet::new(), dice: Dice::new(seed) };
        for input in corpus(target) {
            fuzzer.answer(&input);
            fuzzer.corpus.push(input);
        }
        fuzzer
    }

    /// Runs one input; true when its answer is new.
    fn answer(&mut self, input: &[u8]) -> bool {
        let begun = Instant::now();
        let outcome = std::panic::catch_unwind(|| (self.target.run)(input));
        let shown = || format!("{}: {:?} = {}", self.target.name, String::from_utf8_lossy(input), hex(input));
        let answer = outcome.unwrap_or_else(|_| panic!("a panic of {}", shown()));
        assert!(begun.elapsed() < SLOW, "{:?} for {}", begun.elapsed(), shown());
        self.seen.insert(signature(&answer))
    }

    fn step(&mut self) -> Option<Vec<u8>> {
        let input = mutate::mutated(&mut self.dice, &self.corpus, self.target.words, LARGEST);
        let new = self.answer(&input) && self.corpus.len() < CORPUS;
        new.then(|| {
            self.corpus.push(input.clone());
            input
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer without what is only the input's own: numbers and quotations.
fn signature(answer: &str) -> String {
    let (mut out, mut quoted) = (String::new(), false);
    for letter in answer.chars().take(300) {
        match letter {
            '"' | '\'' | '`' => quoted = !quoted,
            _ if quoted || letter.is_ascii_digit() || !letter.is_ascii() => {}
            letter => out.push(letter),
        }
    }
    out
}

fn short(target: &'static Target) {
    let mut fuzzer = Fuzzer::new(target, 7);
    for _ in 0..FEW {
        fuzzer.step();
    }
    assert!(fuzzer.seen.len() >= target.least, "{}: only {} answers", target.name, fuzzer.seen.len());
}

fn long(target: &'static Target, time: Duration) {
    let seed = std::env::var("FUZZ_SEED").map_or(11, |seed| seed.parse().unwrap());
    let mut fuzzer = Fuzzer::new(target, seed);
    let (begun, mut count, mut kept) = (Instant::now(), 0_u64, 0);
    std::fs::create_dir_all(folder(target)).unwrap();
    let before = std::fs::read_dir(folder(target)).unwrap().count();
    while begun.elapsed() < time {
        count += 1;
        let found = fuzzer.step().filter(|input| input.len() <= KEPT_BYTES);
        if let Some(input) = found.filter(|_| before + kept < KEPT) {
            kept += 1;
            let name = hex(&Dice::hash(&input).to_be_bytes());
            std::fs::write(folder(target).join(name), input).unwrap();
        }
    }
    let (answers, seconds) = (fuzzer.seen.len(), begun.elapsed().as_secs());
    println!("{}: {count} inputs in {seconds} s, {answers} answers, {kept} new ones kept", target.name);
}

#[test]
fn every_decoder_survives() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
    let wanted = std::env::var("FUZZ_TARGETS").unwrap_or_default();
    let chosen = TARGETS.iter().filter(|t| wanted.is_empty() || wanted.split(',').any(|w| w == t.name));
    // A thread each: one that hangs or overflows its stack names itself.
    let running: Vec<_> = chosen
        .map(|target| {
            let body = move || match seconds {
                Some(seconds) => long(target, Duration::from_secs(seconds)),
                None => short(target),
            };
            std::thread::Builder::new().name(target.name.to_owned()).spawn(body).unwrap()
        })
        .collect();
    assert!(!running.is_empty(), "no such target");
    for thread in running {
        thread.join().unwrap();
    }
}
