//! The templates, compiled in. They lay out; they compute nothing.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, Value};

const TEMPLATES: [(&str, &str); 4] = [
    ("macros.html", include_str!("templates/macros.html")),
    ("report.html", include_str!("templates/report.html")),
    ("index.html", include_str!("templates/index.html")),
    ("report.md", include_str!("templates/report.md")),
];

/// Fills a template in. Every text is escaped by the rules of what it is put into.
pub fn render(name: &str, context: Value) -> String {
    let mut templates = Environment::new();
    // A name that is written wrong must not print as nothing.
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_auto_escape_callback(|name| match name.ends_with(".html") {
        true => AutoEscape::Html,
        false => AutoEscape::Custom("markdown".into()),
    });
    templates.set_formatter(format);
    templates.add_filter("prose", prose);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    templates.set_syntax(syntax.expect("the usual delimiters"));
    for (name, text) in TEMPLATES {
        templates
            .add_template(name, text)
            .expect("our own templates are right: a test renders each");
    }
    let template = templates.get_template(name).expect("it was added");
    template.render(context).expect("templates use what the view has: a test renders each")
}

fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let plain = value.as_str().filter(|_| !value.is_safe());
    match (state.auto_escape(), plain) {
        (AutoEscape::Custom(_), Some(text)) => Ok(out.write_str(&markdown(text))?),
        (AutoEscape::Custom(_), None) => Ok(write!(out, "{value}")?),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// A sentence in which `code` stands between backticks.
fn prose(state: &State<'_, '_>, text: &str) -> Value {
    let (escape, open, close): (fn(&str) -> String, _, _) = match state.auto_escape() {
        AutoEscape::Html => (html, "<code>", "</code>"),
        _ => (markdown, "`", "`"),
    };
    if !text.matches('`').count().is_multiple_of(2) {
        return Value::from_safe_string(escape(text));
    }
    let mut written = String::with_capacity(text.len());
    for (place, part) in text.split('`').enumerate() {
        match (place % 2, state.auto_escape()) {
            (0, _) => written.push_str(&escape(part)),
            (_, AutoEscape::Html) => written.extend([open, &escape(part), close]),
            // Between backticks Markdown knows no escapes, except of what ends a cell.
            _ => written.extend([open, &part.replace('|', "\\|").replace('\n', " "), close]),
        }
    }
    Value::from_safe_string(written)
}

fn html(text: &str) -> String {
    // A unit does not begin a line.
    minijinja::HtmlEscape(text).to_string().replace(" %", "\u{a0}%")
}

/// A text that means itself in Markdown: nothing in it is markup, ends a cell of a table, or a line.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '[' | ']' | '|' => escaped.extend(['\\', character]),
            '\n' | '\r' => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}
