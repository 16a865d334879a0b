//! vedette read from elsewhere: by a real Prometheus over TLS with a client certificate and a password, and by somebody
//! who guesses passwords.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::Value;

use crate::clock::{self, wait_until};
use crate::drill::Drill;
use crate::http;
use crate::net::{self, Place};
use crate::pki;
use crate::process::Server;
use crate::prometheus;
use crate::tools::Extra;
use crate::vedette::{LISTEN, Options};
use crate::world::World;

use super::watch;

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("a_real_prometheus_scrapes_over_mutual_tls_with_a_password", scraped)
        .with(&[Extra::Prometheus])
        .without_cluster(),
    Drill::new("what_an_endpoint_costs_a_scrape_is_bounded_and_native_histograms_arrive", weighed)
        .with(&[Extra::Prometheus]),
    Drill::new("a_thousand_wrong_logins_a_second_delay_no_probe", flooded).alone(),
];

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse";
/// The most by which a probe may be delayed.
const DELAY: f64 = 0.050;

fn scraped(world: &mut World) -> Result<()> {
    let folder = world.folder.join("web");
    issue(&folder)?;
    let hash = hash(10)?;
    let tls = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [prometheus.test]\n";
    let web = folder.join("web-config.yml");
    pki::write(&web, &format!("{tls}basic_auth_users:\n  prometheus: {hash}\n"), 0o600)?;
    net::run(world.promtool()?.arg("check").arg("web-config").arg(&web))?;
    let listen = format!("{}:9876", Place::Bastion.ip());
    let cluster = format!(
        "clusters:\n  - name: lab\n    credentials: {{}}\n    apiservers: [{{ name: api-1, address: \"{}:6443\" }}]\n",
        Place::Api(1).ip()
    );
    let text = world.vantage_and_outlets(&Options::default())? + &cluster;
    configure(world, &text, &listen, &web)?;

    scrape(world, Place::Mail, &scrape_config(&folder, &listen)?)?;

    for (job, up) in
        [("vedette", "1"), ("http1", "1"), ("wrong-password", "0"), ("no-certificate", "0"), ("other-name", "0")]
    {
        let query = format!("up{{job=\"{job}\"}} == {up} and scrape_duration_seconds");
        wait_until(&format!("{job} to be up: {up}"), PATIENCE, || ask(world, &query).is_ok_and(|found| found == 1))
            .with_context(|| world.what_vedette_said())?;
    }
    ensure!(ask(world, "vedette_build_info{job=\"vedette\"}")? == 1, "nothing was scraped");
    let wrong = "vedette_listener_logins_total{job=\"vedette\",result=\"wrong\"} > 0";
    wait_until("wrong logins to be counted", PATIENCE, || ask(world, wrong).is_ok_and(|found| found == 1))?;

    // Renewed while Prometheus reads: no scrape fails. The first one of all may: its password is checked beside wrong
    // ones, by bcrypt and one at a time.
    let renewed = clock::now();
    issue_server(&folder, &authority(&folder)?)?;
    wait_until("the renewed certificate to be in use", PATIENCE, || {
        ask(world, "vedette_web_config_reloads_total{job=\"vedette\",result=\"accepted\"} > 0")
            .is_ok_and(|found| found == 1)
    })
    .with_context(|| world.what_vedette_said())?;
    let seconds = clock::since(renewed).as_secs() + 1;
    let all_succeeded = format!("min_over_time(up{{job=\"vedette\"}}[{seconds}s]) == 1");
    ensure!(ask(world, &all_succeeded)? == 1, "a scrape failed");
    Ok(())
}

/// The bounds on what one endpoint adds to the page: lines, bytes and bytes by gzip. 80, 13 kB and 2 kB by themselves
/// (design.md section 6), and half as much again with what tells of overload.
const COSTS: (usize, usize, usize) = (120, 19_500, 3_000);

/// Two apiservers, a VIP and three members, until every kind of probe has ended and one apiserver has failed.
fn weighed(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    world.kill9("api-2")?;
    let config = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: vedette\n    honor_labels: true\n    \
         scrape_native_histograms: true\n    static_configs: [{{ targets: [\"{LISTEN}\"] }}]\n"
    );
    scrape(world, Place::Bastion, &config)?;

    for query in [
        "histogram_count(vedette_probe_duration_seconds{instance=\"api-1\",probe=\"readyz\"}) > 5",
        "histogram_quantile(0.5, vedette_probe_duration_seconds{instance=\"api-1\",probe=\"readyz\"}) < 1",
        "histogram_sum(vedette_probe_duration_seconds{instance=\"vip\",probe=\"version\"}) > 0",
        "vedette_probe_phase_duration_seconds_count{instance=\"api-2\",probe=\"readyz\",phase=\"connect\"} > 2",
        "vedette_probe_phase_duration_seconds_count{instance=\"etcd-1\",probe=\"etcd_members\"} > 0",
        "count(process_cpu_seconds_total) == 1",
        // What the apiservers say of themselves: 600 seats by default, but for those that have no queue.
        "vedette_apiserver_seats{instance=\"api-1\"} > 500",
        "vedette_apiserver_metrics_page_bytes{instance=\"api-1\"} > 100000",
    ] {
        wait_until(query, PATIENCE * 2, || world.ask(query).is_ok_and(|found| !found.is_empty()))
            .with_context(|| world.what_vedette_said())?;
    }
    let classic = world.ask("vedette_probe_duration_seconds_bucket")?;
    ensure!(classic.is_empty(), "classic buckets came though native ones were asked for: {classic:?}");

    let folder = world.folder.join("pages");
    fs::create_dir(&folder)?;
    let fetched = |name: &str, how: &[&str]| {
        let file = folder.join(name);
        let url = format!("http://{LISTEN}/metrics");
        net::run(world.network.command(Place::Bastion, "curl").args(["-sSf", "-o"]).arg(&file).args(how).arg(url))?;
        Ok::<_, anyhow::Error>(file)
    };
    let gzip = fetched("page.gz", &["-H", "Accept-Encoding: gzip"])?;
    let page = fetched("page", &[])?;
    let bytes = |file: &Path| Ok::<_, anyhow::Error>(usize::try_from(fs::metadata(file)?.len())?);
    let unpacked = net::output(std::process::Command::new("gunzip").arg("-c").arg(&gzip))?;
    ensure!(unpacked.starts_with("# HELP "), "the gzip page is no page: {}", &unpacked[..unpacked.len().min(200)]);
    let text = fs::read_to_string(&page)?;
    let lines = text.lines().count();
    let (whole, packed, endpoints) = (bytes(&page)?, bytes(&gzip)?, 6);
    println!("    {endpoints} endpoints: {lines} lines, {whole} bytes, {packed} by gzip");
    // Bytes count with what belongs to no endpoint; lines without, since a third of so small a page is of the vantage.
    ensure!(whole <= COSTS.1 * endpoints, "{whole} bytes");
    ensure!(packed <= COSTS.2 * endpoints, "{packed} bytes by gzip");
    for endpoint in ["api-1", "api-2", "vip", "etcd-1", "etcd-2", "etcd-3"] {
        let own = text.lines().filter(|line| line.contains(&format!("instance=\"{endpoint}\""))).count();
        ensure!((20..=COSTS.0).contains(&own), "{own} lines of {endpoint}");
    }
    Ok(())
}

/// Starts a Prometheus at `place` with the configuration `text`.
fn scrape(world: &mut World, place: Place, text: &str) -> Result<()> {
    let program = prometheus::tool(world, "prometheus")?;
    let config = world.folder.join("scrape.yaml");
    fs::write(&config, text)?;
    let arguments = vec![
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", world.volatile.join("prometheus").display()),
        "--web.listen-address=127.0.0.1:9090".to_owned(),
    ];
    let log = world.folder.join("logs/prometheus.log");
    world.add(Server::new("prometheus", place, program, arguments, log));
    world.start("prometheus").map(drop)
}

fn flooded(world: &mut World) -> Result<()> {
    let folder = world.folder.join("web");
    let web = folder.join("web-config.yml");
    pki::write(&web, "http_server_config: { http2: true }\n", 0o600)?;
    let config = world.write_vedette_config(&Options::default())?;
    configure(world, &fs::read_to_string(config)?, LISTEN, &web)?;
    watch::ready(world)?;
    pki::write(&web, &format!("basic_auth_users:\n  prometheus: {}\n", hash(10)?), 0o600)?;
    wait_until("a login to be wanted", PATIENCE, || world.page("/healthz").is_ok_and(|answer| answer.status == 401))
        .with_context(|| world.what_vedette_said())?;
    let socket = world.folder.join("control.sock");
    // The largest of the last minute: what the start was late by has to grow old.
    wait_until("the loop to have been on time for a minute", PATIENCE * 3, || {
        lag(&socket).is_ok_and(|lag| lag < DELAY / 2.0)
    })?;

    let sent = AtomicU64::new(0);
    let begun = clock::now();
    world.network.inside(Place::Bastion, || {
        thread::scope(|scope| {
            for guesser in 0..20_u8 {
                let sent = &sent;
                scope.spawn(move || {
                    for round in 0..500 {
                        guess(guesser, round).ok();
                        sent.fetch_add(1, Ordering::Relaxed);
                        let due = Duration::from_millis(20 * (round + 1));
                        clock::pass(due.saturating_sub(clock::since(begun)));
                    }
                });
            }
        });
        Ok(())
    })?;
    let seconds = clock::since(begun).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand")]
    let rate = sent.load(Ordering::Relaxed) as f64 / seconds;
    let late = lag(&socket)?;
    println!("    {rate:.0} wrong logins a second for {seconds:.1} s; the loop was late by {late:.3} s at most");
    ensure!(rate > 900.0, "only {rate:.0} wrong logins a second");
    let counted = ["wrong", "busy", "abandoned"]
        .map(|result| series(&socket, &format!("vedette_listener_logins_total{{result=\"{result}\"}}")));
    let counted: f64 = counted.into_iter().sum::<Result<f64>>()?;
    ensure!(counted > 0.8 * rate * seconds, "of {rate:.0} a second {counted} were counted in {seconds:.1} s");
    ensure!(late < DELAY, "the loop was late by {late} s");
    Ok(())
}

/// Starts vedette with the configuration `text`, and `web` before its listener at `listen`.
fn configure(world: &mut World, text: &str, listen: &str, web: &Path) -> Result<()> {
    let config = world.folder.join("vedette.yaml");
    let own = format!("listen: \"{LISTEN}\"\n");
    let with_web = format!("listen: \"{listen}\"\n  web_config: {}\n", web.display());
    ensure!(text.contains(&own), "no {own} in {text}");
    pki::write(&config, &text.replace(&own, &with_web), 0o600)?;
    world.start_vedette(&config).map(drop)
}

/// One job as we ship it, one over HTTP/1.1, and some that must not succeed.
fn scrape_config(folder: &Path, listen: &str) -> Result<String> {
    let at = folder.display();
    let mut text = "global: { scrape_interval: 1s }\nscrape_configs:\n".to_owned();
    let names = ("prometheus", PASSWORD);
    for (job, certificate, (user, password), http2) in [
        ("vedette", Some("client"), names, true),
        ("http1", Some("client"), names, false),
        ("wrong-password", Some("client"), ("prometheus", "wrong"), true),
        ("no-certificate", None, names, true),
        ("other-name", Some("other"), names, true),
    ] {
        let shown = certificate
            .map(|name| format!(", cert_file: {at}/{name}.crt, key_file: {at}/{name}.key"))
            .unwrap_or_default();
        writeln!(
            text,
            "  - job_name: {job}\n    scheme: https\n    honor_labels: true\n    enable_http2: {http2}\n    \
             tls_config: {{ ca_file: {at}/ca.crt{shown} }}\n    \
             basic_auth: {{ username: {user}, password: {password} }}\n    \
             static_configs: [{{ targets: [\"{listen}\"] }}]"
        )?;
    }
    Ok(text)
}

/// How many series a query returns in the Prometheus at the mail place.
fn ask(world: &World, query: &str) -> Result<usize> {
    let url = format!("http://127.0.0.1:9090/api/v1/query?query={}", prometheus::encoded(query));
    let answer = world.network.inside(Place::Mail, || http::get(&url, None))?;
    let parsed: Value = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
    parsed["data"]["result"].as_array().map(Vec::len).ok_or_else(|| anyhow!("{parsed}"))
}

/// One wrong login over a connection of its own, from one of many addresses.
fn guess(guesser: u8, round: u64) -> Result<()> {
    use base64::Engine as _;
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::new(127, 0, 1, guesser), 0)))?;
    rustix::net::connect(&socket, &LISTEN.parse::<SocketAddr>()?)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_millis(15)))?;
    let login = base64::prelude::BASE64_STANDARD.encode(format!("user-{guesser}:guess-{round}"));
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Basic {login}\r\n\r\n")?;
    // Whoever guesses waits for nothing.
    stream.read_exact(&mut [0; 12]).ok();
    Ok(())
}

/// The largest lateness of the loop in the last minute, in seconds.
fn lag(socket: &Path) -> Result<f64> {
    series(socket, "vedette_loop_lag_seconds")
}

/// A series of the metrics at the control socket, which asks for no login.
fn series(socket: &Path, name: &str) -> Result<f64> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: x\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.ok_or_else(|| anyhow!("no {name}"))?.parse()?)
}

fn hash(cost: u32) -> Result<String> {
    bcrypt::hash(PASSWORD, cost).map_err(|error| anyhow!("{error}"))
}

/// A CA, and what it signs: the listener's certificate, the scraper's, and one of another name.
fn issue(folder: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    pki::write(&folder.join("ca.key"), &key.serialize_pem(), 0o600)?;
    let ca = authority(folder)?;
    pki::write(&folder.join("ca.crt"), &ca.pem(), 0o644)?;
    issue_server(folder, &ca)?;
    leaf(folder, &ca, "client", "prometheus.test", ExtendedKeyUsagePurpose::ClientAuth)?;
    leaf(folder, &ca, "other", "other.test", ExtendedKeyUsagePurpose::ClientAuth)
}

fn issue_server(folder: &Path, ca: &CertifiedIssuer<'static, KeyPair>) -> Result<()> {
    leaf(folder, ca, "server", &Place::Bastion.ip().to_string(), ExtendedKeyUsagePurpose::ServerAuth)
}

fn authority(folder: &Path) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca.key"))?)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "scrapers");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, key)?)
}

fn leaf(
    folder: &Path,
    ca: &CertifiedIssuer<'static, KeyPair>,
    file: &str,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.extended_key_usages = vec![usage];
    pki::write(&folder.join(format!("{file}.key")), &key.serialize_pem(), 0o600)?;
    pki::write(&folder.join(format!("{file}.crt")), &params.signed_by(&key, ca)?.pem(), 0o644)
}
