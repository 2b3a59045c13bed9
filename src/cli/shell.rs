//! What a shell and its user expect: completions and manual pages, made of the command line itself.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::help::{ENVIRONMENT, EXIT_CODES};
use super::{Cli, Failure};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Manual {
    /// The subcommand, such as `lab run`; without it the page of poolwise itself
    command: Vec<String>,
    /// Write the pages of all subcommands to this folder instead of printing one
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    out: Option<PathBuf>,
}

pub(super) fn completions(command: &Completions) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "poolwise", &mut text);
    print(&text)
}

pub(super) fn manual(command: &Manual) -> Result<(), Failure> {
    let pages = pages();
    if let Some(folder) = &command.out {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        for page in &pages {
            let path = folder.join(page.file());
            std::fs::write(&path, page.text()?).map_err(|error| unwritable(&path, &error))?;
            println!("{}", path.display());
        }
        return Ok(());
    }
    let wanted = command.command.join("-");
    let wanted = if wanted.is_empty() { "poolwise".into() } else { format!("poolwise-{wanted}") };
    let found = pages.iter().find(|page| page.name == wanted);
    let page = found.ok_or_else(|| {
        let known: Vec<String> = pages.iter().map(|page| page.name.replace('-', " ")).collect();
        Failure::Usage(format!(
            "there is no command {:?}; there are {}",
            command.command.join(" "),
            known.join(", ")
        ))
    })?;
    print(&page.text()?)
}

/// A command's manual page, in section 1.
struct Page {
    /// The command's words with hyphens between them.
    name: String,
    command: Command,
}

impl Page {
    fn file(&self) -> String {
        format!("{}.1", self.name)
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        // That of poolwise itself has sections of their own instead.
        let command = self.command.clone().after_long_help(None).after_help(None);
        let page = Man::new(command).title(&*self.name);
        page.render(&mut text)?;
        let mut more = Roff::new();
        if self.name == "poolwise" {
            for (heading, lines) in
                [("EXIT STATUS", &EXIT_CODES[..]), ("ENVIRONMENT", &ENVIRONMENT)]
            {
                more.control("SH", [heading]);
                for (name, meaning) in lines {
                    more.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
                }
            }
        } else {
            more.control("SH", ["SEE ALSO"]).text([bold("poolwise"), roman("(1)")]);
        }
        more.to_writer(&mut text)?;
        Ok(text)
    }
}

fn pages() -> Vec<Page> {
    // Built, so that each command knows the words before it.
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    add(&mut pages, &cli, "");
    pages
}

fn add(pages: &mut Vec<Page>, command: &Command, before: &str) {
    let name = format!("{before}{}", command.get_name());
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        add(pages, inner, &format!("{name}-"));
    }
    pages.push(Page { name, command: command.clone() });
}

/// Prints; a reader that has gone, such as `head`, is no failure.
fn print(text: &[u8]) -> Result<(), Failure> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn unwritable(path: &std::path::Path, error: &io::Error) -> Failure {
    Failure::Runtime(format!("{} cannot be written: {error}", path.display()))
}
