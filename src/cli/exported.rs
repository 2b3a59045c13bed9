//! Documents that are made of the code and kept beside it: OpenAPI, the Postman collection, the schema of the
//! configuration. `--check` says whether those beside it are up to date.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::store::plugin::Plugins;
use crate::{config, http, postman};

#[derive(Debug, Args)]
pub(super) struct OpenApi {
    /// YAML instead of JSON
    #[arg(long)]
    yaml: bool,
    /// Compare with openapi/openapi.json and .yaml instead of printing
    #[arg(long, conflicts_with = "yaml")]
    check: bool,
}

#[derive(Debug, Args)]
pub(super) struct Postman {
    /// The folder to write to
    #[arg(long, value_name = "FOLDER", default_value = "postman")]
    out: PathBuf,
    /// Compare with what stands in the folder instead of writing
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Compare with config/poolwise.schema.json instead of printing
    #[arg(long)]
    check: bool,
}

/// Where the exported documents are, from the folder of the project.
const OPENAPI: [&str; 2] = ["openapi/openapi.json", "openapi/openapi.yaml"];
const SCHEMA: &str = "config/poolwise.schema.json";

pub(super) fn openapi(command: &OpenApi) -> Result<(), Failure> {
    if !command.check {
        let text = if command.yaml { http::openapi_yaml() } else { http::openapi_json() };
        print!("{text}");
        return Ok(());
    }
    let anew = format!(
        "`poolwise openapi > {}` and `poolwise openapi --yaml > {}`",
        OPENAPI[0], OPENAPI[1]
    );
    for (path, current) in OPENAPI.iter().zip([http::openapi_json(), http::openapi_yaml()]) {
        compare(Path::new(path), &current, &anew)?;
    }
    println!("The exported documents are up to date.");
    Ok(())
}

pub(super) fn postman(command: &Postman) -> Result<(), Failure> {
    let document = serde_json::from_str(&http::openapi_json());
    let document = document.expect("our own document is JSON");
    let files = postman::files(&document).map_err(|error| Failure::Runtime(error.to_string()))?;
    let anew = format!("`poolwise postman --out {}`", command.out.display());
    for file in &files {
        let path = command.out.join(file.name);
        if command.check { compare(&path, &file.text, &anew)? } else { write(&path, &file.text)? }
    }
    if command.check {
        println!("The Postman collection and its environments are up to date.");
    }
    Ok(())
}

pub(super) fn schema(command: &Schema, plugins: &Plugins) -> Result<(), Failure> {
    let schema = config::schema(&plugins.access_shapes(), &plugins.cache_shapes());
    let text = serde_json::to_string_pretty(&schema).expect("a JSON value prints") + "\n";
    if command.check {
        compare(Path::new(SCHEMA), &text, &format!("`poolwise config schema > {SCHEMA}`"))?;
        println!("The schema of the configuration is up to date.");
        return Ok(());
    }
    print!("{text}");
    Ok(())
}

/// `anew` is the command that writes it.
fn compare(path: &Path, current: &str, anew: &str) -> Result<(), Failure> {
    let shown = path.display();
    let exported = std::fs::read_to_string(path).map_err(|error| {
        Failure::Runtime(format!("{shown} cannot be read: {error}\nWrite it with {anew}."))
    })?;
    if exported != current {
        return Err(Failure::Runtime(format!(
            "{shown} differs from the code; write it anew with {anew}"
        )));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text)).map_err(|error| {
        Failure::Runtime(format!("{} cannot be written: {error}", path.display()))
    })?;
    println!("{}", path.display());
    Ok(())
}
