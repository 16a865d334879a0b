//! Claims about users and passwords at our own listener.

use super::pki::{WebFolder, login, until};
use super::{Limits, TestServer};

/// A hash of the least cost.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn users(pairs: &[(&str, &str)]) -> String {
    let lines = pairs.iter().map(|(user, hash)| format!("  {user}: {hash}\n"));
    format!("basic_auth_users:\n{}", lines.collect::<String>())
}

#[tokio::test]
async fn only_who_knows_the_password_reads_anything() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("", &users(&[("alice", &hash("secret")), ("bob", &hash("other"))]));
    let door = folder_of_web.door().await;
    for (more, status) in [
        (login("alice", "secret"), "200"),
        (login("alice", "secret").replace("Basic", "bAsIc"), "200"),
        (login("bob", "other"), "200"),
        (login("alice", "other"), "401"),
        (login("alice", ""), "401"),
        (login("mallory", "secret"), "401"),
        (login("", ""), "401"),
        (String::new(), "401"),
        ("authorization: Bearer secret\r\n".into(), "401"),
        ("authorization: Basic\r\n".into(), "401"),
        ("authorization: Basic !\r\n".into(), "401"),
        ("authorization: Basic YQ==\r\n".into(), "401"),
    ] {
        for path in ["/", "/metrics", "/api/v1/status", "/healthz", "/readyz", "/nowhere"] {
            let answer = folder_of_web.client().get(&door, path, &more).await;

            let expected = if status == "200" && path == "/nowhere" { "404" } else { status };
            assert_eq!(answer.get(9..12), Some(expected), "{path} {more}: {answer}");
            assert_eq!(answer.contains("www-authenticate: Basic\r\n"), status == "401");
        }
    }
    let page = folder_of_web.client().get(&door, "/metrics", &login("bob", "other")).await;
    assert!(page.contains("\nvedette_listener_logins_total{result=\"wrong\"} 24\n"), "{page}");
    assert!(page.contains("\nvedette_listener_logins_total{result=\"busy\"} 0\n"));
}

#[tokio::test]
async fn a_password_is_forgotten_when_its_hash_is_replaced() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("", &users(&[("alice", &hash("old"))]));
    let door = folder_of_web.door().await;
    let status = async |password: &str| {
        folder_of_web.client().get(&door, "/healthz", &login("alice", password)).await[9..12].to_owned()
    };
    assert_eq!(status("old").await, "200");

    folder_of_web.configure("", &users(&[("alice", &hash("new"))]));

    until(async || status("new").await == "200").await;
    assert_eq!(status("old").await, "401");
    folder_of_web.configure("", &users(&[("bob", &hash("new"))]));
    until(async || status("new").await == "401").await;
}

#[tokio::test]
async fn users_work_without_tls_too() {
    let folder_of_web = WebFolder::new();
    folder_of_web.write("web.yml", &users(&[("alice", &hash("secret"))]));
    let door = folder_of_web.door().await;

    assert_eq!(door.get("/healthz").await.get(9..12), Some("401"));
    let right = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}\r\n", login("alice", "secret"));
    assert!(door.ask(&right).await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_is_turned_away_and_keeps_out_nobody_who_was_in_before() {
    let folder_of_web = WebFolder::new();
    // Dear enough that the flood comes faster than it is checked.
    folder_of_web.configure("", &users(&[("alice", &bcrypt::hash("secret", 9).unwrap())]));
    let limits = Limits { of_one_peer: 64, ..Limits::default() };
    let door = TestServer::before(limits, Some(folder_of_web.web(false).await)).await;
    let right = login("alice", "secret");
    assert!(folder_of_web.client().get(&door, "/healthz", &right).await.ends_with("ok\n"));

    let wrong: Vec<String> = (0..40).map(|n| login("mallory", &format!("guess {n}"))).collect();
    let flood = wrong.iter().map(|more| async { folder_of_web.client().get(&door, "/healthz", more).await });
    let known = folder_of_web.client();
    let (answers, in_between) =
        tokio::join!(futures_util::future::join_all(flood), known.get(&door, "/healthz", &right));

    assert!(in_between.ends_with("ok\n"), "{in_between}");
    let of = |status: &str| answers.iter().filter(|answer| answer.get(9..12) == Some(status)).count();
    assert_eq!(of("401") + of("429"), 40);
    assert!(of("401") >= 4 && of("429") >= 1, "{} looked at, {} turned away", of("401"), of("429"));
    let page = folder_of_web.client().get(&door, "/metrics", &right).await;
    assert!(page.contains(&format!("\nvedette_listener_logins_total{{result=\"busy\"}} {}\n", of("429"))), "{page}");
}
