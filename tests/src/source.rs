//! Rust sources as the house rules see them: the text without comments and literals, and where functions end.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file of the workspace.
pub struct Source {
    /// The path from the workspace's directory, with `/`.
    pub path: String,
    /// The text.
    pub text: String,
    /// The text with every character of comments, strings and character literals replaced by a space; lines stay.
    pub code: String,
}

/// A function in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of `fn`, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace, both counted.
    pub length: usize,
    /// The body's text without comments and literals.
    pub body: String,
}

/// All Rust sources of the workspace, in the order of their paths.
///
/// # Errors
/// A directory or file cannot be read.
pub fn all() -> anyhow::Result<Vec<Source>> {
    let root = crate::root();
    let mut paths = Vec::new();
    find(&root, &mut paths)?;
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path)?;
        let path = path.strip_prefix(&root)?.to_string_lossy().replace('\\', "/");
        let code = without_literals(&text);
        sources.push(Source { path, text, code });
    }
    Ok(sources)
}

fn find(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                find(&path, found)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Replaces comments, strings and character literals by spaces of the same number of bytes.
pub fn without_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    while out.len() < bytes.len() {
        let at = out.len();
        match literal_length(&bytes[at..], at.checked_sub(1).map(|i| bytes[i])) {
            Some(length) => {
                let end = (at + length).min(bytes.len());
                out.extend(bytes[at..end].iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }));
            }
            None => out.push(bytes[at]),
        }
    }
    // Whole literals were replaced, so what stays is valid text.
    String::from_utf8_lossy(&out).into_owned()
}

/// The bytes of the comment or literal that begins here; none where none does.
fn literal_length(rest: &[u8], before: Option<u8>) -> Option<usize> {
    let in_word = before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    match rest {
        [b'/', b'/', ..] => Some(rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(block_comment(rest)),
        [b'"', ..] => Some(quoted(rest, b'"')),
        [b'r', b'"' | b'#', ..] if !in_word || before == Some(b'b') => raw_string(rest),
        [b'\'', b'\\', ..] => Some(quoted(rest, b'\'')),
        [b'\'', ..] => {
            // A character, not a lifetime: the quote closes after one character of at most four bytes.
            let close = rest.iter().skip(2).take(4).position(|b| *b == b'\'')?;
            let inside = std::str::from_utf8(rest.get(1..close + 2)?).ok()?;
            (inside.chars().count() == 1).then_some(close + 3)
        }
        _ => None,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'\\' => at += 2,
            b if *b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().skip(1).take_while(|b| **b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = rest.get(2 + hashes..)?;
    let close = body.windows(end.len()).position(|w| w == end)?;
    Some(2 + hashes + close + end.len())
}

/// The functions of a text that went through [`without_literals`]; those without a body are left out.
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if at > 0 && code.as_bytes()[at - 1].is_ascii_alphanumeric() || code[..at].ends_with('_') {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // `fn (` and `fn(` are types.
        if name.is_empty() {
            continue;
        }
        if let Some((open, close)) = body(&code[at..]) {
            let line = code[..at].matches('\n').count() + 1;
            let length = code[at..at + close].matches('\n').count() + 1;
            found.push(Function { name, line, length, body: code[at + open + 1..at + close].to_owned() });
        }
    }
    found
}

/// Where a function's body opens and closes; none for a declaration, which ends in a semicolon.
pub fn body(code: &str) -> Option<(usize, usize)> {
    let (mut round, mut curly, mut open) = (0i32, 0i32, 0);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => round += 1,
            ')' | ']' => round -= 1,
            ';' if curly == 0 && round == 0 => return None,
            '{' => {
                if curly == 0 {
                    open = at;
                }
                curly += 1;
            }
            '}' => {
                curly -= 1;
                if curly == 0 {
                    return Some((open, at));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_vanish() {
        let text = "a // fn b {\n\"fn c \\\" {\" 'x' '\\'' 'é' &'a str r#\"fn \"d\"# /* fn /* e */ { */ f b'{' br\"{\"";
        let code = without_literals(text);
        assert_eq!(code.len(), text.len());
        assert!(!code.contains("fn") && !code.contains('{'), "{code}");
        assert!(code.contains("&'a str") && code.contains(" f b"), "{code}");
        assert_eq!(code.matches('\n').count(), 1);
    }

    #[test]
    fn functions_have_lengths() {
        let code =
            "trait T { fn a(&self) -> [u8; 4]; }\nfn b<T>(x: fn(u8)) {\n    if x {\n    }\n}\nstruct Cfn { x: u8 }\n";
        let all = functions(code);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].name.as_str(), all[0].line, all[0].length), ("b", 2, 4));
        assert!(all[0].body.contains("if x"));
    }
}
