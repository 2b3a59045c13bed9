//! How files are edited: written, replaced, linked.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{applied, attempt};
use crate::harness::{Backend, Database, FEW, Postgres, Service, Setup, folder, unique};

fn new_folder() -> PathBuf {
    let folder = folder().join(unique("links"));
    std::fs::create_dir(&folder).expect("the temp folder can be written to");
    folder
}

fn write(folder: &Path, size: usize) {
    let text = format!("database.pool_size = {size}");
    std::fs::create_dir_all(folder).expect("the temp folder can be written to");
    std::fs::write(folder.join("poolwise.toml"), text).expect("the temp folder can be written to");
}

/// Puts a link in the place of another, in one step.
fn swap(target: &str, link: &Path) {
    let new = link.with_file_name(unique("new"));
    symlink(target, &new).expect("the temp folder can be written to");
    std::fs::rename(&new, link).expect("it is the same folder");
}

async fn following(file: &Path) -> Service {
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"");
    setup.with_file(file.to_owned()).followed().await
}

async fn becomes(service: &Service, size: usize, make: impl FnOnce()) {
    let reload = attempt(service, make).await;
    assert_eq!((&reload["outcome"], service.gauges().size), (&"applied".into(), size), "{reload}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_an_editor_replaces_is_followed() {
    let folder = new_folder();
    write(&folder, 2);
    let file = folder.join("poolwise.toml");
    let service = following(&file).await;
    for size in [3, 4] {
        becomes(&service, size, || {
            write(&folder.join("elsewhere"), size);
            std::fs::rename(folder.join("elsewhere/poolwise.toml"), &file).expect("one folder");
        })
        .await;
    }
    becomes(&service, 5, || write(&folder, 5)).await;
    // As some editors do: first it is gone.
    let reload = attempt(&service, || std::fs::remove_file(&file).expect("it is there")).await;
    assert_eq!((&reload["outcome"], service.gauges().size), (&"refused".into(), 5));
    becomes(&service, 6, || write(&folder, 6)).await;
}

/// A volume of a ConfigMap: `poolwise.toml -> ..data/poolwise.toml`, `..data -> ..1`, and an update
/// swaps the second link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_whose_link_is_swapped_is_followed() {
    let folder = new_folder();
    write(&folder.join("..1"), 2);
    symlink("..1", folder.join("..data")).expect("the temp folder can be written to");
    let file = folder.join("poolwise.toml");
    symlink("..data/poolwise.toml", &file).expect("the temp folder can be written to");
    let service = following(&file).await;
    for size in [3, 4] {
        becomes(&service, size, || {
            let version = format!("..{size}");
            write(&folder.join(&version), size);
            swap(&version, &folder.join("..data"));
        })
        .await;
        std::fs::remove_dir_all(folder.join(format!("..{}", size - 2))).ok();
    }
}

/// `releases/current/poolwise.toml`, where `current` is the link; and a file that is one itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_on_the_way_and_what_they_lead_to_are_followed() {
    let folder = new_folder();
    write(&folder.join("releases/2"), 2);
    symlink("releases/2", folder.join("current")).expect("the temp folder can be written to");
    let service = following(&folder.join("current/poolwise.toml")).await;
    becomes(&service, 3, || {
        write(&folder.join("releases/3"), 3);
        swap("releases/3", &folder.join("current"));
    })
    .await;
    becomes(&service, 4, || write(&folder.join("releases/3"), 4)).await;

    let file = folder.join("link.toml");
    symlink("releases/2/poolwise.toml", &file).expect("the temp folder can be written to");
    let service = following(&file).await;
    becomes(&service, 5, || write(&folder.join("releases/2"), 5)).await;
    becomes(&service, 4, || swap("releases/3/poolwise.toml", &file)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_in_its_file_is_used() {
    let server = Postgres::certified(&["localhost"], false);
    let database = Database::on(&server, FEW).await;
    let secret = new_folder().join("password");
    std::fs::write(&secret, "geheim\n").expect("the temp folder can be written to");
    let parts = format!(
        "database = {{ host = \"127.0.0.1\", port = {}, user = \"guarded\", name = \"{}\", \
         sslmode = \"disable\", password_file = \"{}\", connect_timeout = \"60s\" }}",
        server.port,
        database.name(),
        secret.display()
    );
    // A connection with a password takes its time in a build without optimization.
    let setup = Setup::of_server("postgres").with(&parts).with("database.pool_size = 1");
    let setup = setup.subject("\"pool\"", "\"memory\"");
    let (service, file) = setup.following("").await;
    assert_eq!(service.subject("limit=1").await.cache(), "miss");
    server.run("alter role guarded password 'anders'").await;
    let reload = attempt(&service, || std::fs::write(&secret, "falsch").expect("a file")).await;
    let text = reload.to_string();
    assert!(reload["outcome"] == "refused" && !text.contains("falsch"), "{text}");
    assert_eq!(service.subject("limit=2").await.status, 200, "the old connections go on");
    let reload = attempt(&service, || std::fs::write(&secret, "anders").expect("a file")).await;
    assert_eq!(reload["outcome"], "applied", "{reload}");
    assert_eq!(service.subject("limit=1").await.cache(), "hit", "it is the same database");
    assert_eq!(service.client.get("/products/direct?limit=1").await.status, 200);
    applied(&service, &file, "database.pool_size = 2").await;
}
