//! The lab: a real control plane on one machine, for drills and for people.
//!
//! Three etcd members, two kube-apiservers and HAProxy as their VIP, a bastion, Postfix, a mail server
//! that misbehaves on demand and a heartbeat receiver, each in a network namespace of its own. It needs
//! no root where the kernel lets users make namespaces, and leaves nothing behind.
//!
//! ```text
//! cargo test --test lab                      every drill
//! cargo test --test lab -- drill NAME...     drills whose names contain one of these; --full for the long ones
//! cargo test --test lab -- up                a lab to play with, until Ctrl-C
//! cargo test --test lab -- up --vedette      the same with vedette watching it
//! cargo test --test lab -- up --exec CMD     runs CMD on the bastion, then takes the lab down
//! ```
//!
//! The map: `main` arguments; `isolate` namespaces of the whole; `tools` programs; `world` the parts put
//! together: `net`, `process`, `pki`, `etcd`, `apiserver`, `vip`, `rbac`, `controllers`, `smtp`, `postfix`, `heartbeat`,
//! `dns`, `vedette`, `machine`; `host` the hosts as people see them; `faults` what can be done to it; `mail`, `http`,
//! `audit`, `clock`, `chance`, `table` to see and measure; `drill` the runner, `lanes` several of them at a time; `drills` the drills; `boards` and `prometheus` what
//! these need to ask what the dashboards ask; `up` the prompt.
#![expect(clippy::print_stdout, reason = "the lab's output is for the person or the CI job that started it")]

mod apiserver;
mod audit;
mod boards;
mod chance;
mod clock;
mod controllers;
mod dns;
mod drill;
mod drills;
mod etcd;
mod faults;
mod heartbeat;
mod host;
mod http;
mod isolate;
mod lanes;
mod machine;
mod mail;
mod net;
mod pki;
mod postfix;
mod process;
mod prometheus;
mod rbac;
mod smtp;
mod storm;
mod table;
mod tools;
mod up;
mod vedette;
mod vip;
mod world;

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};

use crate::drill::{Choice, Skipped};
use crate::tools::{Extra, Tools};
use crate::up::Request;

enum Order {
    List,
    Drill(Choice),
    /// Drills whose names are read, with these programs.
    Lane(BTreeSet<Extra>),
    Up(Request),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            println!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    let order = parse(arguments)?;
    if let Some(folder) = env::var_os(isolate::FOLDER) {
        return obey(&order, &PathBuf::from(folder));
    }
    if let Order::List = order {
        for drill in Choice::default().drills() {
            println!("drill::{}: test", drill.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    match &order {
        Order::Drill(choice) if choice.drills().is_empty() => {
            println!("\nrunning 0 drills\n\ntest result: ok. 0 passed; 0 failed; 0 ignored\n0 passed, 0 failed");
            Ok(ExitCode::SUCCESS)
        }
        Order::Drill(choice) => lanes::run(choice),
        Order::Lane(extras) => isolate::run_inside(arguments, extras).or_else(|error| {
            println!("{}{}", lanes::NO_LAB, error.downcast::<Skipped>()?.0);
            Ok(ExitCode::SUCCESS)
        }),
        Order::Up(_) | Order::List => isolate::run_inside(arguments, &BTreeSet::new()),
    }
}

/// The inner process: everything is isolated, now do it.
fn obey(order: &Order, folder: &Path) -> Result<ExitCode> {
    let tools = Tools::load(&folder.join("tools"))?;
    let volatile = isolate::mount_volatile(folder)?;
    match order {
        Order::List | Order::Drill(_) => Err(anyhow!("nothing to isolate")),
        Order::Lane(_) => Ok(drill::serve(&volatile, &tools)),
        Order::Up(request) => up::run(request, &folder.join("world"), &volatile, &tools),
    }
}

fn parse(arguments: &[String]) -> Result<Order> {
    let mut words = arguments.iter().map(String::as_str).peekable();
    if words.next_if_eq(&"up").is_some() {
        let mut request = Request::default();
        while let Some(word) = words.next() {
            match word {
                "--vedette" => request.vedette = true,
                "--exec" => match words.next() {
                    Some(command) => request.exec = Some(command.to_owned()),
                    None => bail!("--exec needs a command"),
                },
                _ => bail!("up knows --vedette and --exec CMD, not {word}"),
            }
        }
        return Ok(Order::Up(request));
    }
    words.next_if_eq(&"drill");
    if words.next_if_eq(&lanes::LANE).is_some() {
        let wanted = |word: &str| Extra::ALL.into_iter().find(|extra| extra.option() == word);
        return Ok(Order::Lane(words.filter_map(wanted).collect()));
    }
    let mut choice = Choice::default();
    for word in words {
        match word {
            "--full" => choice.full = true,
            "--list" => return Ok(Order::List),
            // `cargo test` hands the harness options meant for all test binaries to this one as well.
            _ if word.starts_with('-') => {}
            _ => choice.names.push(word.to_owned()),
        }
    }
    Ok(Order::Drill(choice))
}
