//! The configuration: files that are good, files that are not and what is said of them, and how a
//! saved file is noticed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::{Care, Ensured, Heal, Launch, Spec, TargetId};
use engine::config::{Canary, Config, DockerHost, Language, Listen, Progress, watch};
use tokio::sync::mpsc;
use tokio::time::timeout;

const CONFIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/configs");

fn bare(name: &str) -> Option<String> {
    (name == "HOME").then(|| "/home/user".into())
}

fn good(name: &str) -> Config {
    let file = Path::new(CONFIGS).join("good").join(name);
    assert!(file.exists(), "{}", file.display());
    Config::load(&file, &bare).unwrap_or_else(|errors| panic!("{errors}"))
}

fn defaults() -> Config {
    Config::load(Path::new("/nowhere/config.toml"), &bare).unwrap()
}

fn spec<'a>(config: &'a Config, id: &str) -> &'a Spec {
    let id: TargetId = id.parse().unwrap();
    config.roster.iter().find(|spec| spec.id == id).unwrap()
}

fn files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(Path::new(CONFIGS).join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn without_a_file_everything_has_its_default() {
    let config = defaults();
    let ids: Vec<String> = config.roster.iter().map(|spec| spec.id.to_string()).collect();
    assert_eq!(
        ids,
        [
            "host",
            "docker",
            "ollama",
            "mlx",
            "container:knowledge_nightly",
            "container:knowledge_os_orchestrator"
        ]
    );
    for spec in &config.roster {
        assert_eq!(spec.configured, spec.id == TargetId::Host, "{}", spec.id);
        assert_eq!(spec.heal, Heal::Auto);
        assert_eq!(spec.grace, Duration::from_secs(50));
    }
    let seconds = |id| spec(&config, id).interval.as_secs();
    assert_eq!(
        [seconds("host"), seconds("docker"), seconds("ollama"), seconds("mlx")],
        [5, 15, 10, 10]
    );
    assert_eq!(
        spec(&config, "ollama").care,
        Care::Ollama {
            launch: Launch::Auto,
            pinned: vec![],
            unload_under_pressure: true,
            ensure: vec![],
        }
    );
    assert_eq!(spec(&config, "mlx").care, Care::Mlx { launch: None });
    let critical = Care::Container {
        critical: true,
        compose: None,
        light: std::collections::BTreeMap::new(),
        after: Vec::new(),
    };
    assert_eq!(spec(&config, "container:knowledge_nightly").care, critical);
    assert_eq!(config.ollama.url.as_str(), "http://127.0.0.1:11434/");
    assert_eq!(config.mlx.url.as_str(), "http://127.0.0.1:11435/");
    assert_eq!(config.docker.host, DockerHost::Auto);
    assert_eq!(config.api.listen, Listen::Auto);
    assert_eq!(config.journal.keep, Duration::from_hours(365 * 24));
    assert_eq!(config.schedule.full_check, Duration::from_mins(5));
}

#[test]
fn every_good_file_is_good() {
    for file in files("good") {
        Config::load(&file, &bare).unwrap_or_else(|errors| panic!("{errors}"));
    }
}

#[test]
fn a_section_alone_makes_its_target_configured() {
    let mut config = good("minimal.toml");
    assert!(spec(&config, "ollama").configured);
    assert!(!spec(&config, "mlx").configured);
    for spec in &mut config.roster {
        spec.configured = spec.id == TargetId::Host;
    }
    assert_eq!(config, defaults());
}

#[test]
fn the_mac_studio_of_the_seeds() {
    let config = good("mac-studio.toml");
    assert_eq!(
        spec(&config, "mlx").care,
        Care::Mlx { launch: Some(Launch::Launchd("com.atra.mlx-api-server".into())) }
    );
    assert_eq!(
        config.ollama.ensure[0].modelfile.as_deref(),
        Some(Path::new("/home/user/knowledge_os/uncensored.Modelfile"))
    );
    let orchestrator = spec(&config, "container:knowledge_os_orchestrator");
    assert_eq!(orchestrator.needs, [TargetId::Ollama, TargetId::Mlx]);
    assert!(orchestrator.configured && spec(&config, "docker").configured);
    let Care::Container { critical: true, compose: Some(compose), .. } = &orchestrator.care else {
        panic!("{orchestrator:?}")
    };
    assert_eq!(compose.files, ["/home/user/knowledge_os/docker-compose.yml"]);
    assert_eq!(compose.service, "knowledge_os_orchestrator");
    let victoria = TargetId::Container("victoria-agent".into());
    assert_eq!(config.needs_projects[&victoria], ["knowledge_os"]);
    assert_eq!(config.roster.len(), 8);
    assert_eq!(config.services[0].url.as_str(), "http://127.0.0.1:8010/health");
    assert_eq!(config.notifications.language, Language::Russian);
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let config = good("everything.toml");
    let directory = Path::new(CONFIGS).join("good");
    let beside = |name: &str| {
        std::path::absolute(directory.join(name)).unwrap().to_string_lossy().into_owned()
    };
    assert_eq!(
        config.ollama.url.join("api/tags").unwrap().as_str(),
        "https://ollama.local/prefix/api/tags"
    );
    assert_eq!(config.ollama.timeout, Duration::from_millis(250));
    assert_eq!(config.ollama.canary, Canary::Models(vec!["llama3".into()]));
    assert!(!config.ollama.unload_under_pressure);
    assert_eq!(config.ollama.pinned, ["nomic-embed-text", "llama3:70b"]);
    assert_eq!(config.ollama.ensure.len(), 2);
    assert_eq!(config.ollama.ensure[0].modelfile, Some(beside("models/one.Modelfile").into()));
    let ollama = spec(&config, "ollama");
    assert_eq!(ollama.heal, Heal::Ask);
    assert_eq!((ollama.interval.as_secs(), ollama.grace.as_secs()), (1, 25));
    assert_eq!(ollama.needs, [TargetId::Host]);
    let command = ["/home/user/bin/ollama", "serve", "--models", "/home/user/models"];
    let command = command.map(str::to_owned).to_vec();
    assert_eq!(
        ollama.care,
        Care::Ollama {
            launch: Launch::Command(command),
            pinned: config.ollama.pinned.clone(),
            unload_under_pressure: config.ollama.unload_under_pressure,
            ensure: vec![
                Ensured {
                    model: "one".into(),
                    modelfile: Some(beside("models/one.Modelfile")),
                    base: None,
                },
                Ensured { model: "two".into(), modelfile: None, base: Some("llama3".into()) },
            ],
        }
    );
    let mlx = spec(&config, "mlx");
    assert_eq!((mlx.heal, mlx.grace.as_secs()), (Heal::Observe, 120));
    assert_eq!(config.mlx.timeout, Duration::from_mins(1));
    assert_eq!(config.docker.host, DockerHost::Address("tcp://127.0.0.1:2375".into()));
    let one = spec(&config, "container:one");
    assert_eq!((one.heal, one.interval.as_secs()), (Heal::Auto, 300));
    let parents: Vec<String> = one.needs.iter().map(TargetId::to_string).collect();
    assert_eq!(parents, ["docker", "container:two", "service:Page"]);
    let Care::Container { critical: true, compose: Some(compose), light, .. } = &one.care else {
        panic!("{one:?}")
    };
    assert_eq!(compose.files, [beside("compose.yml"), "/etc/compose.override.yml".into()]);
    assert_eq!(compose.project.as_deref(), Some("shop"));
    assert_eq!(compose.directory, Some(beside("shop")));
    assert_eq!(compose.env_file.as_deref(), Some("/home/user/.env"));
    assert!(matches!(&config.containers[0].progress,
        Some(Progress::Field { field, within, .. })
            if field == "tasks.done" && *within == Duration::from_hours(1)));
    assert_eq!(light["LIGHT"], "true");
    let nightly = spec(&config, "container:knowledge_nightly");
    assert_eq!(
        nightly.care,
        Care::Container {
            critical: false,
            compose: None,
            light: std::collections::BTreeMap::new(),
            after: Vec::new()
        }
    );
    assert_eq!(nightly.heal, Heal::Observe, "inherited from [docker]");
    let Care::Container { compose: Some(plain), .. } = &spec(&config, "container:plain").care
    else {
        panic!("no compose")
    };
    assert_eq!(plain.service, "plain", "the container's own name");
    let page = spec(&config, "service:Page");
    assert_eq!(page.care, Care::Service { expect: vec![200, 204], container: Some("two".into()) });
    assert_eq!(page.needs, [TargetId::Mlx]);
    assert_eq!(
        spec(&config, "service:Страница").care,
        Care::Service { expect: vec![301], container: None }
    );
    assert_eq!(config.services[0].timeout, Duration::from_secs(2));
    assert_eq!(config.memory.groups["browsers"], ["firefox", "chrom*"]);
    assert_eq!(config.schedule.full_check, Duration::from_hours(1));
    let addresses = ["127.0.0.1:9099", "[::1]:9099", "127.0.0.1:0"];
    let addresses = addresses.map(|address| address.parse().unwrap()).to_vec();
    assert_eq!(config.api.listen, Listen::Addresses(addresses));
    assert_eq!(config.api.hosts, ["mac-studio.local"]);
    assert!(config.api.recover_needs_token && !config.notifications.enabled);
    assert_eq!(config.notifications.language, Language::English);
    assert_eq!(config.journal.keep, Duration::from_hours(30 * 24));
}

/// The message of each lies beside it; `BLESS=1` writes it anew.
#[test]
fn every_bad_file_is_refused_in_its_own_words() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for file in files("bad") {
        let directory = format!("{}/", file.parent().unwrap().display());
        let said = match Config::load(&file, &bare) {
            Ok(_) => panic!("{} was accepted", file.display()),
            Err(errors) => format!("{errors}\n").replace(&directory, ""),
        };
        let expected = file.with_extension("txt");
        if bless {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(said);
        }
    }
    assert!(wrong.is_empty(), "other words than expected (BLESS=1 accepts):\n{}", wrong.join("\n"));
}

#[test]
fn a_fault_in_an_address_tells_no_key_of_its_query() {
    let file = Path::new("config.toml");
    for url in ["ftp://h/x?token=sk-abc&deep=1", "h/x?token=sk-abc", "http://h/x?token=sk-abc#a"] {
        let text = format!("[[service]]\nname = \"page\"\nurl = \"{url}\"\n");
        let said = Config::parse(file, &text, &bare).unwrap_err().to_string();
        assert!(said.contains("?token=…") && !said.contains("sk-abc"), "{said}");
    }
}

#[test]
fn what_is_no_text_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let said = || {
        let errors = Config::load(&file, &bare).unwrap_err().to_string();
        errors.replace(&format!("{}/", directory.path().display()), "")
    };

    fs::write(&file, b"[ollama]\nurl = \"\xff\xfe\"\n").unwrap();
    assert_eq!(said(), "config.toml is not UTF-8 text (line 2); save it as UTF-8");
    fs::write(&file, b"[ollama]\n\0\0\0").unwrap();
    assert!(said().starts_with("config.toml:2: this is not TOML: "), "{}", said());
    fs::write(&file, vec![b'#'; 10 << 20]).unwrap();
    assert_eq!(
        said(),
        "config.toml is larger than 1 MiB; this is not a configuration of Homeostat"
    );
    // The largest that is allowed.
    fs::write(&file, vec![b'#'; 1 << 20]).unwrap();
    assert_eq!(Config::load(&file, &bare).unwrap(), defaults());

    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(said(), "config.toml is a directory; a file is expected");
    fs::remove_dir(&file).unwrap();
    // Can't be opened by anyone, not even by root.
    std::os::unix::fs::symlink(&file, &file).unwrap();
    assert!(said().starts_with("config.toml can't be read: "), "{}", said());
    fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    assert_eq!(said(), "config.toml is not a regular file");
}

#[test]
fn no_beginning_of_a_good_file_panics() {
    for file in files("good") {
        let text = fs::read_to_string(&file).unwrap();
        for (end, _) in text.char_indices() {
            let _ = Config::parse(&file, &text[..end], &bare);
        }
    }
}

#[test]
fn the_example_changes_nothing_until_it_is_edited() {
    let file = Path::new("/etc/homeostat/config.toml");
    assert_eq!(Config::parse(file, Config::example(), &bare).unwrap(), defaults());
}

#[test]
fn the_example_shows_every_key_with_its_default() {
    let file = Path::new("/etc/homeostat/config.toml");
    let edited: String = Config::example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let config = Config::parse(file, &edited, &bare).unwrap_or_else(|errors| panic!("{errors}"));

    let mut expected = defaults();
    let is_default =
        |spec: &Spec| !matches!(spec.id, TargetId::Container(_) | TargetId::Service(_));
    expected.roster.retain(is_default);
    for spec in &mut expected.roster {
        spec.configured = true;
        if let Care::Mlx { launch } = &mut spec.care {
            *launch = Some(Launch::Launchd("com.example.mlx-api-server".into()));
        }
        if let Care::Ollama { ensure, .. } = &mut spec.care {
            *ensure = vec![Ensured {
                model: "uncensored-llama3".into(),
                modelfile: Some("/etc/homeostat/uncensored.Modelfile".into()),
                base: Some("llama3".into()),
            }];
        }
    }
    let shown: Vec<Spec> = config.roster.iter().filter(|spec| is_default(spec)).cloned().collect();
    assert_eq!(shown, expected.roster);
    expected.ollama.ensure = config.ollama.ensure.clone();
    assert_eq!(config.ollama, expected.ollama);
    assert_eq!(config.mlx, expected.mlx);
    assert_eq!(config.docker, expected.docker);
    assert_eq!(config.schedule, expected.schedule);
    assert_eq!(config.api, expected.api);
    assert_eq!(config.notifications, expected.notifications);
    assert_eq!(config.journal, expected.journal);

    // The message about an unknown key lists the known ones: each must be in the example.
    let sections = [
        "ollama",
        "mlx",
        "docker",
        "memory",
        "schedule",
        "api",
        "notifications",
        "journal",
        "[ollama.ensure]",
        "[docker.container]",
        "[service]",
    ];
    for section in sections {
        let text = format!("[{section}]\nqqqqqqqqqqqq = 1\n");
        let said = Config::parse(file, &text, &bare).unwrap_err().to_string();
        let known = said.split_once("known here are ").unwrap().1.lines().next().unwrap();
        for key in known.split(", ").filter(|&key| !matches!(key, "container" | "ensure")) {
            let inside = Config::example()
                .split(&format!("#[{section}]\n"))
                .nth(1)
                .and_then(|rest| rest.split("\n#[").next())
                .unwrap_or_else(|| panic!("no [{section}] in the example"));
            let line = format!("#{key} = ");
            assert!(inside.lines().any(|found| found.starts_with(&line)), "[{section}] {key}");
        }
    }
}

#[test]
fn environment_variables_are_defaults() {
    let ollama = |name: &str, value: &str| {
        let (name, value) = (name.to_owned(), value.to_owned());
        let config = Config::parse(Path::new("/c.toml"), "", &|asked| {
            (asked == name).then(|| value.clone())
        });
        let config = config.unwrap();
        (config.ollama.url.to_string(), spec(&config, "ollama").configured, config.warnings.len())
    };
    for (value, expected) in [
        ("0.0.0.0", "http://127.0.0.1:11434/"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
        (":8080", "http://127.0.0.1:8080/"),
        ("example.com", "http://example.com:11434/"),
        ("http://example.com", "http://example.com/"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com:1234/path", "https://example.com:1234/path/"),
        ("[::1]:1234", "http://[::1]:1234/"),
        ("[::]", "http://[::1]:11434/"),
        ("::1", "http://[::1]:11434/"),
        ("\"10.0.0.2:11434\"", "http://10.0.0.2:11434/"),
    ] {
        assert_eq!(ollama("OLLAMA_HOST", value), (expected.into(), true, 0), "{value}");
    }
    let from_container = ollama("OLLAMA_BASE_URL", "http://host.docker.internal:11434");
    assert_eq!(from_container, ("http://127.0.0.1:11434/".into(), true, 0));
    // What can't be used is told and changes nothing.
    let bad = ollama("OLLAMA_HOST", "host:port:what");
    assert_eq!(bad, ("http://127.0.0.1:11434/".into(), false, 1));
    assert_eq!(ollama("OLLAMA_HOST", ""), ("http://127.0.0.1:11434/".into(), false, 0));

    let all = |name: &str| {
        let value = match name {
            "OLLAMA_HOST" => "127.0.0.1:1",
            "OLLAMA_BASE_URL" => "http://127.0.0.1:2",
            "MLX_API_URL" => "http://127.0.0.1:3",
            "MAC_LLM_URL" => "http://127.0.0.1:4",
            "ORCHESTRATOR_HEALTH_MONITOR_INTERVAL" => "600",
            "SERVICE_MONITOR_INITIAL_DELAY" => "500",
            "DOCKER_HOST" => "unix:///run/user/1000/docker.sock",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = Config::parse(Path::new("/c.toml"), "", &all).unwrap();
    assert_eq!(config.ollama.url.port(), Some(2));
    assert_eq!(config.mlx.url.port(), Some(3));
    assert_eq!(config.schedule.full_check, Duration::from_mins(10));
    assert_eq!(spec(&config, "ollama").grace, Duration::from_mins(2), "the nearest allowed");
    let socket = DockerHost::Address("unix:///run/user/1000/docker.sock".into());
    assert_eq!(config.docker.host, socket);
    assert!(["ollama", "mlx", "docker"].iter().all(|id| spec(&config, id).configured));

    let text = "[ollama]\nurl = \"http://127.0.0.1:9\"\ngrace = \"30s\"";
    let config = Config::parse(Path::new("/c.toml"), text, &all).unwrap();
    assert_eq!(config.ollama.url.port(), Some(9), "the file wins");
    assert_eq!(spec(&config, "ollama").grace, Duration::from_secs(30));
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let file = Path::new(CONFIGS).join("bad/wrong-types.toml");
    let errors = Config::load(&file, &bare).unwrap_err().errors;
    let lines: BTreeSet<usize> = errors.iter().filter_map(|error| error.line).collect();
    assert_eq!(lines, BTreeSet::from([2, 3, 4, 5, 6, 9, 10, 13, 16]));
}

#[tokio::test]
async fn a_saved_file_is_noticed_however_it_is_saved() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let (tell, mut told) = mpsc::channel(8);
    let watching = tokio::spawn(watch(file.clone(), tell));
    let mut noticed = async || timeout(Duration::from_secs(10), told.recv()).await.ok().flatten();

    fs::write(&file, "[ollama]\n").unwrap();
    assert_eq!(noticed().await.as_ref(), Some(&file), "made");
    fs::write(&file, "[ollama]\nheal = \"ask\"\n").unwrap();
    assert_eq!(noticed().await.as_ref(), Some(&file), "written in place");
    let other = directory.path().join(".config.toml.swp");
    fs::write(&other, "[ollama]\nheal = \"auto\"\n").unwrap();
    fs::rename(&other, &file).unwrap();
    assert_eq!(noticed().await.as_ref(), Some(&file), "replaced");
    fs::remove_file(&file).unwrap();
    assert_eq!(noticed().await.as_ref(), Some(&file), "deleted");

    // Another file of the directory is none of its business; the next message is the second save.
    fs::write(directory.path().join("journal.db"), "x").unwrap();
    fs::write(&file, "[mlx]\n").unwrap();
    assert_eq!(noticed().await.as_ref(), Some(&file));
    drop(told);
    timeout(Duration::from_secs(10), watching).await.expect("it ends with its receiver").unwrap();
}

#[tokio::test]
async fn many_writes_are_one_message() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let (tell, mut told) = mpsc::channel(8);
    tokio::spawn(watch(file.clone(), tell));
    for number in 0..50 {
        fs::write(&file, format!("# {number}\n")).unwrap();
        tokio::task::yield_now().await;
    }
    assert!(timeout(Duration::from_secs(10), told.recv()).await.unwrap().is_some());
    assert!(timeout(Duration::from_secs(1), told.recv()).await.is_err(), "told twice");
}

#[test]
fn a_persons_own_signatures_lie_beside_it_and_their_faults_are_its_faults() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let load = || Config::load(&file, &|_| None);
    assert_eq!(load().unwrap().signatures, []);
    let own = directory.path().join("signatures.toml");
    let text = "\n[[signature]]\nid = \"mine\"\nof = \"ollama\"\ncause = \"ollama.leak\"\n\
                confidence = \"possible\"\nall = [\"my fan howls\"]\nexample = \"my fan howls\"\n\
                counter_example = \"silence\"\n";
    std::fs::write(&own, text).unwrap();
    assert_eq!(load().unwrap().signatures[0].id, "mine");
    std::fs::write(&own, text.replace("ollama.leak", "ollama.leek")).unwrap();
    let errors = load().unwrap_err().to_string();
    assert!(errors.starts_with(&format!("{}:2: ", own.display())), "{errors}");
}
