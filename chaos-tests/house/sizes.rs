//! How large a file and a function may get.

use std::path::Path;

/// Lines of a file, without its tests module.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function, signature and closing brace included.
const FUNCTION_LINES_MAX: usize = 70;
/// A file that opens with this line is a table of facts and may be long.
const TABLE_MARK: &str = "// A table of facts.";

/// A function in a file: its name, first line (from 1) and length in lines.
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

fn code_of(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
    lines[..tests.unwrap_or(lines.len())].to_vec()
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

fn function_name(line: &str) -> Option<String> {
    let mut words = line.trim_start().split(' ');
    loop {
        match words.next()? {
            "fn" => break,
            "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"" | "default" => {}
            word if word.starts_with("pub(") => {}
            _ => return None,
        }
    }
    let name = words.next()?;
    Some(name.split(['(', '<']).next()?.to_owned())
}

/// Functions are found by rustfmt's own shape: a `fn` line, and the `}` at the same indentation.
fn functions(lines: &[&str]) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        if line.trim_end().ends_with(';') || line.trim_end().ends_with('}') {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[start..].iter().position(|later| *later == closing) {
            found.push(Function { name, line: start + 1, lines: length + 1 });
        }
    }
    found
}

#[test]
fn files_and_functions_stay_small() {
    let mut crowded = Vec::new();
    for path in super::sources() {
        let text = std::fs::read_to_string(&path).expect("readable source");
        let shown = path.strip_prefix(super::root()).unwrap().display().to_string();
        let code = code_of(&text);
        let table = text.lines().any(|line| line == TABLE_MARK);
        if code.len() > FILE_LINES_MAX && !table && !is_test_file(&path) {
            crowded.push(format!("{shown}: {} lines", code.len()));
        }
        let long = functions(&code).into_iter().filter(|f| f.lines > FUNCTION_LINES_MAX && !table);
        crowded.extend(long.map(|f| format!("{shown}:{}: fn {} has {} lines", f.line, f.name, f.lines)));
    }
    assert!(crowded.is_empty(), "crowded rooms, redesign them:\n{}", crowded.join("\n"));
}

#[test]
fn the_measure_sees_a_long_function() {
    let body = "    let x = 1;\n".repeat(80);
    let text = format!("impl A {{\n    pub async fn long(&self) {{\n{body}    }}\n}}\n");
    let found = functions(&code_of(&text));
    assert_eq!((found[0].name.as_str(), found[0].line, found[0].lines), ("long", 2, 82));
}

#[test]
fn every_crate_opens_with_its_front_page() {
    for path in super::sources().iter().filter(|path| path.ends_with("src/lib.rs")) {
        let text = std::fs::read_to_string(path).expect("readable source");
        let front = text.lines().take_while(|line| line.starts_with("//!")).count();
        assert!(front >= 1, "{} has no front page (//!)", path.display());
    }
}
