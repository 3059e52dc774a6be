//! Which Docker engine is meant, told from environment and home.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::path::Path;

use engine::docker_host::{Endpoint, HostError, Surroundings, endpoints};

/// `sha256("desktop-linux")`, as the `docker` command names the folder.
const DESKTOP: &str = "fe9c6bd7a66301f49ca9b6a70b217107cd1284598bfc254700c989b916da791e";

#[test]
fn configured_comes_before_everything() {
    let around = surroundings(None, &[("DOCKER_HOST", "unix:///from/variable.sock")]);
    assert_eq!(endpoints("unix:///here.sock", &around), Ok(vec![unix("/here.sock")]));
    assert_eq!(endpoints("auto", &around), Ok(vec![unix("/from/variable.sock")]));
}

#[test]
fn a_port_that_is_not_named_is_dockers() {
    let around = Surroundings::default();
    let tcp = |address: &str| Ok(vec![Endpoint::Tcp(address.into())]);
    assert_eq!(endpoints("tcp://10.0.0.5:2376", &around), tcp("10.0.0.5:2376"));
    assert_eq!(endpoints("tcp://box/", &around), tcp("box:2375"));
    for wrong in ["npipe:////./pipe/docker", "unix://relative", "tcp://", "box", ""] {
        let found = endpoints(wrong, &around);
        assert!(matches!(found, Err(HostError::Unsupported { .. })), "{wrong}: {found:?}");
    }
}

#[test]
fn the_current_context_is_followed() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), ".docker/config.json", r#"{"currentContext":"desktop-linux"}"#);
    let around = surroundings(Some(home.path()), &[]);
    // Its description is gone with the engine that wrote it: the known places count.
    assert!(endpoints("auto", &around).unwrap().len() > 1);

    let meta = r#"{"Name":"desktop-linux","Endpoints":{"docker":{"Host":"unix:///Users/me/.docker/run/docker.sock","SkipTLSVerify":false}}}"#;
    write(home.path(), &format!(".docker/contexts/meta/{DESKTOP}/meta.json"), meta);
    let desktop = Ok(vec![unix("/Users/me/.docker/run/docker.sock")]);
    assert_eq!(endpoints("auto", &around), desktop);

    let named = surroundings(Some(home.path()), &[("DOCKER_CONTEXT", "desktop-linux")]);
    write(home.path(), ".docker/config.json", "{ not json");
    assert_eq!(endpoints("auto", &named), desktop);
    assert!(endpoints("auto", &around).unwrap().len() > 1);

    let default = surroundings(Some(home.path()), &[("DOCKER_CONTEXT", "default")]);
    assert!(endpoints("auto", &default).unwrap().len() > 1);
    let unknown = surroundings(Some(home.path()), &[("DOCKER_CONTEXT", "elsewhere")]);
    let error = endpoints("auto", &unknown).unwrap_err();
    assert!(error.to_string().contains("`elsewhere`"), "{error}");
}

#[test]
fn without_a_word_the_known_places_are_tried() {
    let around = surroundings(Some(Path::new("/Users/me")), &[("DOCKER_HOST", "")]);
    assert_eq!(
        endpoints("auto", &around).unwrap(),
        [
            unix("/Users/me/.docker/run/docker.sock"),
            unix("/Users/me/.orbstack/run/docker.sock"),
            unix("/Users/me/.colima/default/docker.sock"),
            unix("/Users/me/.colima/docker.sock"),
            unix("/Users/me/.rd/docker.sock"),
            unix("/var/run/docker.sock"),
            unix("/Users/me/.local/share/containers/podman/machine/podman.sock"),
            unix("/run/podman/podman.sock"),
        ]
    );
    let homeless = surroundings(None, &[("XDG_RUNTIME_DIR", "/run/user/1000")]);
    assert_eq!(
        endpoints("auto", &homeless).unwrap(),
        [
            unix("/var/run/docker.sock"),
            unix("/run/user/1000/docker.sock"),
            unix("/run/user/1000/podman/podman.sock"),
            unix("/run/podman/podman.sock"),
        ]
    );
}

#[test]
fn other_profiles_of_colima_are_found() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), ".colima/agents/docker.sock", "");
    write(home.path(), ".colima/_lima/colima.yaml", "");
    let found = endpoints("auto", &surroundings(Some(home.path()), &[])).unwrap();
    let profile = Endpoint::Unix(home.path().join(".colima/agents/docker.sock"));
    assert!(found.contains(&profile), "{found:?}");
    assert_eq!(found.iter().filter(|one| one.to_string().contains("_lima")).count(), 0);
}

#[test]
fn what_is_encrypted_or_behind_ssh_is_told_as_not_supported() {
    let tls = |host, variable| surroundings(None, &[("DOCKER_HOST", host), (variable, "1")]);
    for variable in ["DOCKER_TLS_VERIFY", "DOCKER_TLS"] {
        let error = endpoints("auto", &tls("tcp://box:2376", variable)).unwrap_err();
        assert!(matches!(error, HostError::Encrypted { .. }), "{error:?}");
        assert!(error.to_string().contains("TLS, which is not supported"), "{error}");
        // A socket is not encrypted, whatever is set.
        assert!(endpoints("auto", &tls("unix:///a.sock", variable)).is_ok());
    }
    let error = endpoints("https://box:2376", &Surroundings::default()).unwrap_err();
    assert!(matches!(error, HostError::Encrypted { .. }), "{error:?}");
    let error = endpoints("ssh://me@box", &Surroundings::default()).unwrap_err();
    assert!(error.to_string().contains("ssh, which is not supported"), "{error}");

    let home = tempfile::tempdir().unwrap();
    let meta = format!(".docker/contexts/meta/{DESKTOP}/meta.json");
    let around = surroundings(Some(home.path()), &[("DOCKER_CONTEXT", "desktop-linux")]);
    let says = r#"{"Name":"desktop-linux","Endpoints":{"docker":{"Host":"tcp://10.0.0.5:2376"}}}"#;
    write(home.path(), &meta, says);
    assert_eq!(endpoints("auto", &around), Ok(vec![Endpoint::Tcp("10.0.0.5:2376".into())]));
    write(home.path(), &format!(".docker/contexts/tls/{DESKTOP}/docker/ca.pem"), "");
    let error = endpoints("auto", &around).unwrap_err();
    assert!(matches!(error, HostError::Encrypted { .. }), "{error:?}");
    write(home.path(), &meta, &says.replace("tcp://10.0.0.5:2376", "ssh://me@box"));
    assert!(matches!(endpoints("auto", &around).unwrap_err(), HostError::Ssh { .. }));
}

fn surroundings(home: Option<&Path>, variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        home: home.map(Path::to_owned),
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    }
}

fn unix(path: &str) -> Endpoint {
    Endpoint::Unix(path.into())
}

fn write(home: &Path, file: &str, text: &str) {
    let file = home.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}
