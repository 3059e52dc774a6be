//! What is done through the command line: Compose, and Docker Desktop's restart.

use std::collections::BTreeMap;
use std::time::Duration;

use doctor::{Compose, Outcome};
use engine::docker_host::Surroundings;
use engine::probe::docker::Docker;

use crate::fake::{DEADLINE, Fake, PACE, json};

#[tokio::test]
async fn compose_without_its_file_names_the_file() {
    let docker = Docker::with_pace("unix:///nowhere", Surroundings::default(), PACE);
    let compose = Compose {
        files: vec!["/moved/away/docker-compose.yml".into()],
        service: "web".into(),
        project: Some("knowledge".into()),
        directory: Some("/moved/away".into()),
        env_file: None,
        light: BTreeMap::new(),
    };
    let light = std::path::Path::new("/nowhere");
    let outcome = docker.compose_up(&compose, light, DEADLINE, async {}).await;
    let Outcome::Failed { reason, permanent: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("/moved/away/docker-compose.yml is missing"), "{reason}");
}

#[tokio::test]
async fn compose_is_run_with_what_the_labels_name_and_against_our_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for file in ["base.yml", "more.yml", ".env"] {
        std::fs::write(path(file), "").unwrap();
    }
    let script = format!(
        "#!/bin/sh\n[ \"$2\" = version ] && exit 0\necho \"$DOCKER_HOST $*\" >{told}\n\
         case $SAY in\nlong) head -c 1000000 /dev/zero | tr '\\0' x; echo the end >&2; exit 3;;\n\
         hang) exec sleep 1000;;\nesac\n",
        told = path("told")
    );
    std::fs::write(path("docker"), script).unwrap();
    std::fs::set_permissions(path("docker"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let docker = |say: &str| {
        let variables = [
            ("PATH", format!("{}:/usr/bin:/bin", folder.path().display())),
            ("SAY", say.to_owned()),
            ("DOCKER_CONTEXT", "elsewhere".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        let surroundings = Surroundings { home: None, variables };
        Docker::with_pace("unix:///ours/docker.sock", surroundings, PACE)
    };
    let compose = Compose {
        files: vec![path("base.yml"), path("more.yml")],
        service: "web".into(),
        project: Some("knowledge".into()),
        directory: Some(folder.path().display().to_string()),
        env_file: Some(path(".env")),
        light: BTreeMap::new(),
    };
    let light = folder.path().join("light");
    // Our own file comes last, and only where there are variables of ours (R30).
    for (variables, ours) in [
        (None, String::new()),
        (Some("USE_ELK"), format!(" -f {}", path("light/knowledge.web.homeostat-light.yml"))),
    ] {
        let variables = variables.map(|name| (name.to_owned(), "false".to_owned()));
        let compose = Compose { light: variables.into_iter().collect(), ..compose.clone() };
        assert_eq!(
            docker("").compose_up(&compose, &light, DEADLINE, async {}).await,
            Outcome::Done
        );
        assert_eq!(
            std::fs::read_to_string(path("told")).unwrap().trim(),
            format!(
                "unix:///ours/docker.sock compose -p knowledge --project-directory {} -f {} -f {}\
                 {ours} --env-file {} up -d --no-deps web",
                folder.path().display(),
                path("base.yml"),
                path("more.yml"),
                path(".env")
            )
        );
    }

    let outcome = docker("long").compose_up(&compose, &light, DEADLINE, async {}).await;
    let Outcome::Failed { reason, permanent: false } = outcome else { panic!("{outcome:?}") };
    assert!(reason.ends_with("the end") && reason.len() < 20_000, "{}", reason.len());

    let outcome =
        docker("hang").compose_up(&compose, &light, Duration::from_millis(300), async {}).await;
    let Outcome::Failed { reason, permanent: false } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("did not end within"), "{reason}");
}

/// Only an engine that is silent is restarted; the command's own words are told when it fails.
#[tokio::test]
async fn docker_desktop_is_restarted_by_its_own_command() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told").display().to_string();
    let program = folder.path().join("docker");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >>{told}\ncase $SAY in\n\
         no) echo \"'desktop' is not a docker command\" >&2; exit 1;;\n\
         hang) exec sleep 1000;;\nesac\n"
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let around = |say: &str| {
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let variables = [("PATH".to_owned(), path), ("SAY".to_owned(), say.to_owned())].into();
        Surroundings { home: None, variables }
    };
    let silent = |say: &str| Docker::with_pace("unix:///ours/docker.sock", around(say), PACE);
    assert_eq!(silent("").restart_desktop(DEADLINE).await, Outcome::Done);
    assert_eq!(std::fs::read_to_string(&told).unwrap(), "desktop restart\n");

    let outcome = silent("no").restart_desktop(DEADLINE).await;
    let Outcome::Failed { reason, permanent: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("is not a docker command"), "{reason}");
    // Given is given: the engine tells whether it helped.
    let soon = Duration::from_millis(5300);
    assert_eq!(silent("hang").restart_desktop(soon).await, Outcome::Done);

    let before = std::fs::read_to_string(&told).unwrap();
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("docker.sock");
    let _engine = Fake::at(&socket, |_, _, stream| json(stream, 200, "OK"));
    let well = Docker::with_pace(format!("unix://{}", socket.display()), around(""), PACE);
    assert_eq!(well.restart_desktop(DEADLINE).await, Outcome::IdentityChanged);
    assert_eq!(std::fs::read_to_string(&told).unwrap(), before, "one that answers is left alone");
}
