//! Doors, token and address file.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use engine::api::{ApiSettings, Listen, Token, serve};
use engine::handle::Handle;
use engine::journal::Journal;
use engine::words::Words;
use serde_json::Value;

use crate::world::{World, eventually, snapshot};

#[tokio::test]
async fn the_address_file_lives_as_long_as_the_api() {
    let world = World::new().await;
    let file = world.directory.path().join("address");
    let announced: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(announced["address"], world.address.to_string());
    assert_eq!(announced["pid"], std::process::id());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    world.serving.stop().await;
    assert!(!file.exists());
    assert!(std::net::TcpStream::connect(world.address).is_err());
}

#[tokio::test]
async fn a_taken_port_is_told_and_the_rest_goes_on() {
    let occupant = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupant.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let token = Token::load_or_create(&directory.path().join("token")).unwrap();
    let (journal, _) = Journal::open(&directory.path().join("journal.db"));
    let (handle, _ends) = Handle::new(snapshot(), journal, Arc::new(Words::default()));
    let settings = ApiSettings {
        listen: Listen::Addresses(vec![address, ([127, 0, 0, 1], 0).into()]),
        hosts: Vec::new(),
        recover_needs_token: false,
    };
    let serving = serve(handle, settings, token, directory.path().join("address")).await;
    let problem = serving.problem().unwrap();
    assert!(
        problem.contains(&format!("Port {} on 127.0.0.1 is taken", address.port())),
        "{problem}"
    );
    assert_eq!(serving.addresses().len(), 1);
    serving.stop().await;
}

#[tokio::test]
async fn a_stop_lets_idle_connections_go() {
    let world = World::new().await;
    let _idle = world.connect().await;
    let address = world.address;
    let stop = world.serving.stop();
    tokio::time::timeout(std::time::Duration::from_secs(5), stop).await.unwrap();
    eventually(|| std::net::TcpStream::connect(address).is_err()).await;
}

#[test]
fn a_token_stays_and_its_file_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let token = Token::load_or_create(&file).unwrap();
    assert_eq!(token.expose().len(), 64);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let again = Token::load_or_create(&file).unwrap();
    assert!(token.is(again.expose()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!format!("{token:?}").contains(token.expose()));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_damaged_token_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let endless = vec![b'a'; 1 << 20];
    for damaged in [&b""[..], b"short", &[0xff; 64], &endless] {
        fs::write(&file, damaged).unwrap();
        assert!(Token::load(&file).is_err());
        let token = Token::load_or_create(&file).unwrap();
        assert!(Token::load(&file).unwrap().is(token.expose()));
    }
    let other = Token::load_or_create(&directory.path().join("other")).unwrap();
    assert!(!other.is(Token::load(&file).unwrap().expose()));
}
