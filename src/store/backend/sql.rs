//! Statement texts, composed from the constant fragments of `sql/*/products_query.sql`.
//!
//! One text for each set of parameters that is present, so that each can be prepared once a
//! connection and planned for itself; values are only ever bound.

use std::collections::HashMap;
use std::fmt::Write;

use super::command::Bind;
use crate::query::{ProductQuery, Start};

/// How a dialect writes its placeholders.
#[derive(Debug, Clone, Copy)]
pub(super) enum Placeholder {
    /// `$1`
    Dollar,
    /// `?1`
    Question,
    /// `?`
    #[cfg(feature = "mysql")]
    Plain,
}

/// The parts of a file of which each stands under a line `-- name: NAME`: name and text.
fn sections(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let sections = file.split("-- name: ").skip(1);
    let sections = sections.filter_map(|section| section.split_once('\n'));
    sections.map(|(name, text)| (name.trim(), text.trim()))
}

/// The fixed texts of one dialect, by name.
#[derive(Debug)]
pub(super) struct Texts(HashMap<&'static str, &'static str>);

impl Texts {
    /// Reads the texts of files, each under a line `-- name: NAME`.
    pub fn parse(files: &[&'static str]) -> Self {
        Self(files.iter().copied().flat_map(sections).collect())
    }

    /// The text of this name, which must be there: commands are as constant as the files.
    pub fn get(&self, name: &str) -> &'static str {
        self.0.get(name).unwrap_or_else(|| panic!("sql/ has no text named {name}"))
    }
}

/// The fragments of one dialect.
#[derive(Debug)]
pub(super) struct Fragments {
    named: HashMap<&'static str, &'static str>,
    placeholder: Placeholder,
}

/// A statement: its text and what to bind.
pub(super) struct Statement<'a> {
    pub text: String,
    pub binds: Vec<Bind<'a>>,
}

impl Fragments {
    /// Reads fragments, each under a line `-- name: NAME`.
    pub fn parse(file: &'static str, placeholder: Placeholder) -> Self {
        Self { named: sections(file).collect(), placeholder }
    }

    /// The statement for `query`.
    pub fn compose<'q>(&self, query: &'q ProductQuery) -> Statement<'q> {
        let mut composer = Composer::new(self);
        composer.put("select", None);
        composer.conditions(query);
        if let Start::After(id) = query.start() {
            composer.condition("after", Some(Bind::Int(id)));
        }
        composer.put("order", None);
        match (query.limit(), query.start()) {
            (Some(limit), _) => composer.put("limit", Some(Bind::Int(i64::from(limit)))),
            (None, Start::Offset(_)) => composer.put("no_limit", None),
            (None, _) => {}
        }
        if let Start::Offset(offset) = query.start() {
            composer.put("offset", Some(Bind::Int(offset)));
        }
        composer.statement
    }

    /// The statement for how many products `query` finds on all its pages together.
    pub fn count<'q>(&self, query: &'q ProductQuery) -> Statement<'q> {
        let mut composer = Composer::new(self);
        composer.put("count", None);
        composer.conditions(query);
        composer.statement
    }
}

struct Composer<'f, 'q> {
    fragments: &'f Fragments,
    statement: Statement<'q>,
    conditions: usize,
}

impl<'f, 'q> Composer<'f, 'q> {
    fn new(fragments: &'f Fragments) -> Self {
        let statement = Statement { text: String::with_capacity(256), binds: Vec::new() };
        Self { fragments, statement, conditions: 0 }
    }

    /// Those that say which products belong to a list, on whatever page.
    fn conditions(&mut self, query: &'q ProductQuery) {
        if let Some(id) = query.id() {
            self.condition("id", Some(Bind::Int(id)));
        }
        if let Some(category) = query.category() {
            self.condition("category", Some(Bind::Text(category)));
        }
        if let Some(price) = query.min_price() {
            self.condition("min_price", Some(Bind::Price(price.cents())));
        }
        if let Some(price) = query.max_price() {
            self.condition("max_price", Some(Bind::Price(price.cents())));
        }
        match query.in_stock() {
            Some(true) => self.condition("in_stock", None),
            Some(false) => self.condition("out_of_stock", None),
            None => {}
        }
    }

    fn condition(&mut self, name: &str, bind: Option<Bind<'q>>) {
        let word = if self.conditions == 0 { " where " } else { " and " };
        self.conditions += 1;
        self.statement.text.push_str(word);
        self.put(name, bind);
    }

    /// Appends a fragment, its `{}` replaced by the placeholder of `bind`.
    fn put(&mut self, name: &str, bind: Option<Bind<'q>>) {
        let text = &mut self.statement.text;
        let fragment = self.fragments.named[name];
        if fragment.is_empty() {
            return;
        }
        if !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
        let Some(bind) = bind else { return text.push_str(fragment) };
        self.statement.binds.push(bind);
        let number = self.statement.binds.len();
        let (before, after) = fragment.split_once("{}").expect("a fragment with a value has {}");
        text.push_str(before);
        match self.fragments.placeholder {
            Placeholder::Dollar => write!(text, "${number}"),
            Placeholder::Question => write!(text, "?{number}"),
            #[cfg(feature = "mysql")]
            Placeholder::Plain => write!(text, "?"),
        }
        .expect("writing to a String cannot fail");
        text.push_str(after);
    }
}

/// The migrations of a dialect: number and text, in order.
pub(super) type Migrations = &'static [(i32, &'static str)];
