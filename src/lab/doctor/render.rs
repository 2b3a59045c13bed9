//! Findings for the terminal.

use super::super::record::Finding;

/// Where lines are wrapped, in characters.
const WIDTH: usize = 100;

/// Each finding as its rule and fact, and beneath it what to try; wrapped at 100 columns. Empty for
/// none.
pub fn render(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { id, fact, advice } in findings {
        text.push_str(&wrapped(&format!("{id:<4}"), fact));
        text.push_str(&wrapped("    try: ", advice));
    }
    text
}

/// The words behind `label`, further lines indented as far as it is long.
fn wrapped(label: &str, words: &str) -> String {
    let indent = label.chars().count();
    let mut text = label.to_owned();
    let mut column = indent;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        }
        if column > indent {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_wrapped_at_100_columns_and_lose_no_word() {
        let fact = "words ".repeat(60) + &"x".repeat(120);
        let finding = Finding { id: "D1".into(), fact: fact.clone(), advice: "less".into() };
        let text = render(&[finding]);
        let too_long = |line: &&str| line.chars().count() > WIDTH && !line.trim().starts_with('x');
        assert_eq!(text.lines().find(too_long), None);
        assert!(text.starts_with("D1  words") && text.ends_with("\n    try: less\n"), "{text}");
        let words = |text: &str| text.split_whitespace().count();
        assert_eq!(words(&text), 1 + words(&fact) + 2);
    }
}
