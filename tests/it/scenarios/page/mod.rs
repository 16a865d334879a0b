//! The status page in a real browser without scripts: on a desk and on a phone, in the light and in the dark, while all
//! is well, while everything is down, and while vedette cannot see.
//!
//! Without Chromium or axe-core a test says so and is skipped, except in CI. `VEDETTE_PICTURES=FOLDER` keeps a picture
//! of each.

mod axe;
mod browser;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use vedette::expose::{Expose, Pages};
use vedette::model::time::Clock;

use super::world::{Doing, World, etcd, seconds};
use browser::{Browser, Loaded, Screen};

const WIDTHS: [u32; 2] = [1280, 360];
const SCHEMES: [&str; 2] = ["light", "dark"];

#[test]
fn the_page_needs_no_script_no_other_host_and_no_wide_screen() {
    on_every_screen(|browser, state, title, url, screen| {
        let page = browser.load(url, screen);

        check(&page, url, title, screen);
        keep(browser, state, screen);
    });
}

#[test]
fn the_page_breaks_no_rule_of_accessibility() {
    let script = match axe::script() {
        Ok(script) => script,
        Err(why) => return skip(&format!("no axe-core: {why}")),
    };
    on_every_screen(|browser, state, _, url, screen| {
        // Held still: one that loads again while the rules run takes them with it.
        browser.load(&format!("{url}?refresh=off"), screen);

        assert_eq!(axe::violations(browser, &script), Vec::<String>::new(), "{state} {screen:?}");
    });
}

/// Hands each state, its title and its URL to `request`, with each screen.
fn on_every_screen(visit: impl Fn(&mut Browser, &str, &str, &str, Screen)) {
    let Some(program) = chromium() else { return skip("no chromium in PATH (tests/lab/setup.sh installs it)") };
    let mut browser = Browser::start(&program);
    for (state, title, world) in worlds() {
        let runtime = Runtime::new().unwrap();
        let url = format!("http://{}/", serve(&runtime, &world));
        for screen in WIDTHS.into_iter().flat_map(|width| SCHEMES.map(|scheme| Screen { width, scheme })) {
            visit(&mut browser, state, title, &url, screen);
        }
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn skip(why: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "skipped in CI: {why}");
    eprintln!("skipped: {why}");
}

fn check(page: &Loaded, url: &str, title: &str, screen: Screen) {
    assert!(page.title.starts_with(title), "{screen:?}: {page:?}");
    assert!(page.content_width <= f64::from(screen.width), "{screen:?}: {page:?}");
    let is_own = |request: &String| request == url || request.starts_with("data:image/svg+xml;base64,");
    assert!(page.requests.iter().all(is_own), "{screen:?}: {page:?}");
    assert!(page.requests.contains(&url.to_owned()), "{screen:?}: {page:?}");
    assert!(page.complaints.is_empty(), "{screen:?}: {page:?}");
}

/// Each state with the beginning of its title.
fn worlds() -> Vec<(&'static str, &'static str, World)> {
    let mut healthy = World::new();
    healthy.run_until(seconds(90));
    let mut outage = World::new();
    outage.at(seconds(60), |world| {
        world.set(&etcd(1), Doing::Refusing);
        world.set(&etcd(2), Doing::Refusing);
    });
    outage.run_until(seconds(90));
    let mut isolated = World::new();
    isolated.at(seconds(60), |world| world.cut_off = true);
    isolated.run_until(seconds(120));
    vec![("healthy", "OK ", healthy), ("outage", "DOWN prod is down", outage), ("isolated", "UNKNOWN ", isolated)]
}

/// Serves what the world's engine knows, at the time it has there.
fn serve(runtime: &Runtime, world: &World) -> SocketAddr {
    let now = world.now();
    let snapshot = Arc::new(ArcSwap::new(world.snapshot()));
    let pages = Pages::new(snapshot, Clock::new(move || now));
    let expose = runtime.block_on(Expose::bind((Ipv4Addr::LOCALHOST, 0).into())).unwrap();
    let address = expose.address().unwrap();
    runtime.spawn(expose.serve(pages, CancellationToken::new()));
    address
}

fn keep(browser: &mut Browser, state: &str, screen: Screen) {
    if let Some(folder) = env::var_os("VEDETTE_PICTURES") {
        let name = format!("{state}-{}-{}.png", screen.width, screen.scheme);
        fs::write(PathBuf::from(folder).join(name), browser.cluster_snapshot()).unwrap();
    }
}

fn chromium() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let named = |folder: PathBuf, name: &str| Some(folder.join(OsStr::new(name))).filter(|file| file.is_file());
    env::split_paths(&path).find_map(|folder| {
        ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(|name| named(folder.clone(), name))
    })
}
