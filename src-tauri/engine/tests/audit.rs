//! The audit over whole compose files: every kind of finding, what looks like it and is none, and that
//! the proposed lines really help.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use doctor::Compose;
use engine::audit::{
    Finding, Fix, Host, Inspected, InspectedHealth, Kind, Project, Severity, apply, audit,
    limit_place, read, running,
};
use engine::words::Words;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/audit");

/// A Linux machine whose Docker has 16 GB: the same wherever the tests run.
fn host() -> Host {
    Host {
        linux: true,
        memory_bytes: Some(64 << 30),
        docker_memory_bytes: Some(16 << 30),
        webhook_port: 9099,
        slowest_call_s: None,
    }
}

/// The file, and the one that is merged over it where there is one.
fn files(file: &Path) -> Vec<PathBuf> {
    let over = file.with_extension("override.yml");
    [file.to_path_buf(), over].into_iter().filter(|file| file.exists()).collect()
}

fn look(file: &Path) -> Vec<Finding> {
    audit(&read(&files(file), &[], &|_| None), &host())
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(Path::new(CASES).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yml"))
        .filter(|path| !path.to_string_lossy().ends_with(".override.yml"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no cases in {folder}");
    found
}

fn told(findings: &[Finding], folder: &Path) -> String {
    let words = Words::new("en");
    let mut text = String::new();
    let here = format!("{}/", folder.display());
    for finding in findings {
        let view = finding.view(&words);
        let severity = format!("{:?}", finding.severity).to_lowercase();
        let place = view.file.unwrap_or_default().replace(&here, "");
        let line = view.line.map(|line| format!(":{line}")).unwrap_or_default();
        writeln!(
            text,
            "{place}{line}: {severity} {}: {}",
            finding.kind.id(),
            view.text.replace(&here, "")
        )
        .unwrap();
        if let Some(fix) = &view.fix {
            let replaced = (fix.line, fix.column) != (fix.end_line, fix.end_column);
            let sign = if replaced { '~' } else { '+' };
            for line in &fix.lines {
                writeln!(text, "    {sign}{line}").unwrap();
            }
        }
    }
    text
}

#[test]
fn bad_files_are_told_with_line_and_remedy() {
    for file in cases("bad") {
        let findings = look(&file);
        let told = told(&findings, file.parent().unwrap());
        let expected = file.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(told, expected, "{}", file.display());
        let name = file.file_stem().unwrap().to_string_lossy().replace('-', "_");
        let kind = name.split('.').next().unwrap();
        let has = findings.iter().any(|finding| kind.starts_with(&finding.kind.id()));
        assert!(has, "{} has no finding of its own kind", file.display());
    }
}

#[test]
fn good_files_have_no_findings() {
    for file in cases("good") {
        let told = told(&look(&file), file.parent().unwrap());
        assert_eq!(told, "", "{}", file.display());
    }
}

/// Kinds that no compose file alone can have.
const OF_THE_MACHINE: [Kind; 7] = [
    Kind::MemoryLimitBelowPeak,
    Kind::DockerMemorySmall,
    Kind::RivalSupervisors,
    Kind::AutostartMissing,
    Kind::EngineAbsent,
    Kind::ContainerDiffers,
    Kind::StartsHeavy,
];

#[test]
fn every_kind_has_a_bad_file_and_a_good_twin() {
    let stems = |folder| -> BTreeSet<String> {
        let stem = |file: PathBuf| file.file_stem().unwrap().to_string_lossy().into_owned();
        cases(folder).into_iter().map(stem).collect()
    };
    let (bad, good) = (stems("bad"), stems("good"));
    for kind in Kind::ALL.into_iter().filter(|kind| !OF_THE_MACHINE.contains(kind)) {
        let name = kind.id().replace('_', "-");
        assert!(bad.contains(&name), "no bad/{name}.yml");
        assert!(good.contains(&name), "no good/{name}.yml");
    }
}

/// The directory of a case, copied to where it may be changed.
fn copied(file: &Path) -> (tempfile::TempDir, PathBuf) {
    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                fs::create_dir(&target).unwrap();
                copy(&path, &target);
            } else {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(file.parent().unwrap(), folder.path());
    let copy = folder.path().join(file.file_name().unwrap());
    (folder, copy)
}

/// Writes the changes into their files; how many there were.
fn mend(fixes: &[&Fix]) -> usize {
    let named: BTreeSet<&PathBuf> = fixes.iter().map(|fix| &fix.file).collect();
    let one = |file: &PathBuf| {
        let here: Vec<&Fix> = fixes.iter().filter(|fix| fix.file == *file).copied().collect();
        let (text, count) = apply(&fs::read_to_string(file).unwrap(), &here);
        fs::write(file, text).unwrap();
        count
    };
    named.into_iter().map(one).sum()
}

#[test]
fn the_proposed_lines_of_each_finding_take_it_away() {
    let mut tried = 0;
    for file in cases("bad") {
        for index in 0..look(&file).len() {
            let (_folder, copy) = copied(&file);
            let before = look(&copy);
            let finding = &before[index];
            let Some(fix) = &finding.fix else { continue };
            assert_eq!(mend(&[fix]), 1, "{}: {finding:?}", file.display());
            tried += 1;
            let after = look(&copy);
            let same = |other: &&Finding| {
                (other.kind, &other.service) == (finding.kind, &finding.service)
                    && other.says == finding.says
            };
            let text = fs::read_to_string(&fix.file).unwrap();
            assert_eq!(after.iter().find(same), None, "{}:\n{text}", file.display());
            assert!(
                !after.iter().any(|finding| finding.kind == Kind::Broken)
                    || before.iter().any(|finding| finding.kind == Kind::Broken),
                "{} is broken by {fix:?}:\n{text}",
                file.display()
            );
        }
    }
    assert!(tried > 40, "only {tried} remedies were tried");
}

#[test]
fn all_proposed_lines_together_leave_nothing_that_has_a_remedy() {
    for file in cases("bad") {
        let (_folder, copy) = copied(&file);
        let mut rounds = 0;
        loop {
            let findings = look(&copy);
            let fixes: Vec<&Fix> =
                findings.iter().filter_map(|finding| finding.fix.as_ref()).collect();
            if fixes.is_empty() {
                break;
            }
            assert!(mend(&fixes) > 0, "{}: {fixes:?}", file.display());
            rounds += 1;
            let text = || fs::read_to_string(&copy).unwrap();
            assert!(rounds < 12, "{} is never mended: {findings:?}\n{}", file.display(), text());
        }
    }
}

#[test]
fn severities_are_as_told() {
    let worst = |folder: &str, name: &str| {
        let findings = look(&Path::new(CASES).join(folder).join(name));
        findings.iter().map(|finding| finding.severity).max()
    };
    assert_eq!(worst("bad", "restart-missing.yml"), Some(Severity::Error));
    assert_eq!(worst("bad", "memory-limit-missing.yml"), Some(Severity::Warning));
    assert_eq!(worst("bad", "light-start-missing.yml"), Some(Severity::Note));
}

#[test]
fn hostile_files_are_refused_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yml");
    let mut laughs = String::from("x0: &x0 [a, a, a, a, a, a, a, a, a]\n");
    for depth in 1..30 {
        let before = format!("*x{}", depth - 1);
        let items = [before.as_str(); 9].join(", ");
        writeln!(laughs, "x{depth}: &x{depth} [{items}]").unwrap();
    }
    laughs.push_str("services: {a: {image: x, environment: *x29, ports: *x29, command: *x29}}\n");
    let all = ["*base"; 50].join(", ");
    let mut merged = String::new();
    for index in 0..200 {
        writeln!(merged, "m{index}: &m{index}\n  <<: [{all}]\n  k{index}: 1").unwrap();
    }
    let mut many = String::new();
    for index in 0..500 {
        writeln!(many, "  k{index}: v").unwrap();
    }
    let variables: String = std::iter::once("V0=xxxxxxxxxx\n".to_owned())
        .chain((1..60).map(|index| format!("V{index}=$V{0}$V{0}$V{0}\n", index - 1)))
        .collect();
    for (name, text, refused) in [
        ("laughs", laughs, false),
        ("merge keys", format!("base: &base\n{many}{merged}services: {{}}\n"), true),
        ("deep flow", format!("services: {}", "[".repeat(100_000)), true),
        ("deep block", format!("services:\n{}", "- ".repeat(100_000)), true),
        ("many", "a: 1\n".repeat(100), true),
        ("ten megabytes", "# x\n".repeat(2_600_000), true),
        ("an anchor in itself", "services: &a {b: *a}\n".into(), true),
        ("no text", "services: \u{0}\n".into(), true),
        ("many of one", format!("services:\n{}", "  a: {image: x}\n".repeat(3000)), true),
        ("variables", "services: {a: {image: $V59}}\n".into(), false),
    ] {
        if name == "variables" {
            fs::write(folder.path().join(".env"), &variables).unwrap();
        }
        fs::write(&file, text).unwrap();
        let findings = audit(&read(std::slice::from_ref(&file), &[], &|_| None), &host());
        let broken = findings.iter().filter(|finding| finding.kind == Kind::Broken).count();
        assert_eq!(broken > 0, refused, "{name}: {findings:?}");
    }
    fs::write(&file, b"services:\n  a: \xff\xfe\n").unwrap();
    let findings = audit(&read(&[file, folder.path().to_path_buf()], &[], &|_| None), &host());
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[test]
fn no_secret_is_ever_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yml");
    fs::write(folder.path().join(".env"), "API_KEY=hunter2\n").unwrap();
    let text = r#"
include: ["https://hunter2@example.com/repo.git"]
services:
  agent:
    image: agent:1
    environment: {OLLAMA_BASE_URL: "http://me:hunter2@localhost:11434", TOKEN: hunter2, KEY: "$API_KEY", USE_ELK: "true"}
  other:
    image: agent:1
    command: --password hunter2
    environment:
      - MLX_API_URL=http://localhost:11435/?token=hunter2
      - TOKEN=hunter2
      - RECOVERY_WEBHOOK_URL=http://me:hunter2@localhost:9098/recover
"#;
    fs::write(&file, text).unwrap();
    let findings = audit(&read(&[file], &[], &|_| None), &host());
    assert!(findings.len() > 5, "{findings:?}");
    for language in ["en", "ru"] {
        let words = Words::new(language);
        for finding in &findings {
            let told = serde_json::to_string(&finding.view(&words)).unwrap();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}

/// A container as the engine shows one that its file describes well.
fn well() -> Inspected {
    Inspected {
        name: "demo-agent-1".into(),
        image: "agent:1".into(),
        restart: "unless-stopped".into(),
        memory_limit: 2 << 30,
        environment: vec!["OLLAMA_BASE_URL=http://host.docker.internal:11434".into()],
        extra_hosts: vec!["host.docker.internal:host-gateway".into()],
        network_mode: "demo_default".into(),
        ..Inspected::default()
    }
}

fn kinds(containers: &[Inspected], project: &Project) -> Vec<Kind> {
    let containers: Vec<&Inspected> = containers.iter().collect();
    running(&containers, project, &host()).iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_container_without_a_file_is_checked_as_it_runs() {
    let none = Project::default();
    assert_eq!(kinds(&[well()], &none), []);
    let check = InspectedHealth {
        test: vec!["CMD".into(), "curl".into(), "http://localhost:8010/health".into()],
        start_period_ms: 5_000,
        ..InspectedHealth::default()
    };
    let ports = vec!["8010:8000/tcp".into()];
    for (container, wanted) in [
        (Inspected { restart: "no".into(), ..well() }, Kind::RestartMissing),
        (Inspected { memory_limit: 0, ..well() }, Kind::MemoryLimitMissing),
        (Inspected { memory_limit: 17 << 30, ..well() }, Kind::MemoryLimitTooLarge),
        (Inspected { extra_hosts: Vec::new(), ..well() }, Kind::HostGatewayMissing),
        (
            Inspected { environment: vec!["OLLAMA_HOST=localhost:11434".into()], ..well() },
            Kind::ModelUrlLocalhost,
        ),
        (Inspected { ports: ports.clone(), ..well() }, Kind::HealthMissing),
        (Inspected { ports, health: Some(check), ..well() }, Kind::HealthWrongPort),
        (Inspected { oom_killed: true, ..well() }, Kind::MemoryLimitBelowPeak),
        (Inspected { peak_bytes: Some(2 << 30), ..well() }, Kind::MemoryLimitBelowPeak),
    ] {
        let found = kinds(std::slice::from_ref(&container), &none);
        assert!(found.contains(&wanted), "{wanted:?}: {found:?}");
    }
    // Half of the limit is no peak, and without a limit nothing is below one.
    assert_eq!(kinds(&[Inspected { peak_bytes: Some(1 << 30), ..well() }], &none), []);
    let unlimited = Inspected { memory_limit: 0, oom_killed: true, ..well() };
    assert_eq!(kinds(&[unlimited], &none), [Kind::MemoryLimitMissing]);
}

#[test]
fn a_heavy_start_is_told_of_what_is_restarted_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yml");
    let text = fs::read_to_string(Path::new(CASES).join("good/light-start-missing.yml")).unwrap();
    fs::write(&file, &text).unwrap();
    let compose = Compose {
        files: vec![file.display().to_string()],
        service: "victoria-agent".into(),
        project: None,
        env_file: None,
        directory: None,
        light: BTreeMap::new(),
    };
    let looping = Inspected { restart_count: 15, compose: Some(compose), ..well() };
    // The container was made of this file, and so has its variables.
    let found = || {
        let project = read(std::slice::from_ref(&file), &[], &|_| None);
        let found = running(&[&looping], &project, &host());
        found.into_iter().find(|finding| finding.kind == Kind::StartsHeavy)
    };
    let first = found().unwrap();
    assert_eq!(first.line, Some(10), "{first:?}");
    let mut rounds = 0;
    while let Some(fix) = found().and_then(|finding| finding.fix) {
        assert_eq!(mend(&[&fix]), 1);
        rounds += 1;
        assert!(rounds <= 3);
    }
    assert!(fs::read_to_string(&file).unwrap().contains("SERVICE_MONITOR_ENABLED: \"false\""));
    fs::write(&file, text).unwrap();
    let calm = Inspected { restart_count: 2, ..looping.clone() };
    let project = read(std::slice::from_ref(&file), &[], &|_| None);
    let found = running(&[&calm], &project, &host());
    assert!(!found.iter().any(|finding| finding.kind == Kind::StartsHeavy), "{found:?}");
}

#[test]
fn a_container_with_a_file_is_told_where_its_file_is_to_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yml");
    let text = fs::read_to_string(Path::new(CASES).join("good/host-gateway-missing.yml")).unwrap();
    fs::write(&file, &text).unwrap();
    let project = read(std::slice::from_ref(&file), &[], &|_| None);
    let compose = Compose {
        files: vec![file.display().to_string()],
        service: "list".into(),
        project: None,
        env_file: None,
        directory: None,
        light: BTreeMap::new(),
    };
    let well = Inspected { compose: Some(compose), ..well() };
    assert_eq!(kinds(std::slice::from_ref(&well), &project), []);

    let ended = Inspected { oom_killed: true, ..well.clone() };
    let found = running(&[&ended], &project, &host());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].kind, found[0].line), (Kind::MemoryLimitBelowPeak, Some(5)));
    let fix = found[0].fix.as_ref().unwrap();
    assert_eq!((&fix.file, fix.text.as_str()), (&file, "mem_limit: 3g"));

    // The file is right, and the container older than it.
    let older = Inspected { restart: "no".into(), memory_limit: 0, ..well };
    let found = running(&[&older], &project, &host());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].kind, found[0].line), (Kind::ContainerDiffers, Some(2)));
    let told = found[0].view(&Words::new("en")).text;
    assert!(told.contains("restart_missing, memory_limit_missing"), "{told}");

    // A policy that says never reads in a container as none.
    fs::write(&file, text.replacen("restart: always", "restart: \"no\"", 1)).unwrap();
    let project = read(std::slice::from_ref(&file), &[], &|_| None);
    let never = Inspected { memory_limit: 2 << 30, ..older.clone() };
    assert_eq!(running(&[&never], &project, &host()), []);

    // What the file lacks as well is told once, in the file.
    fs::write(&file, text.replace("    mem_limit: 2g\n", "")).unwrap();
    let project = read(std::slice::from_ref(&file), &[], &|_| None);
    let lacking = Inspected { memory_limit: 0, restart: "always".into(), ..older };
    assert_eq!(running(&[&lacking], &project, &host()), []);
}

/// Compose itself takes every good file, where it is installed.
#[test]
fn good_files_are_good_for_compose_too() {
    if Command::new("docker-compose").arg("version").output().is_err() {
        return;
    }
    for file in cases("good") {
        // What only newer ones know is said in the name.
        if file.to_string_lossy().ends_with(".v2.yml") {
            continue;
        }
        let mut command = Command::new("docker-compose");
        for file in files(&file) {
            command.arg("-f").arg(file);
        }
        let ended = command.args(["config", "-q"]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{}: {said}", file.display());
    }
}

/// Anchors and variables multiply what a file says; what is read of it does not grow with that.
#[test]
fn a_file_that_multiplies_what_it_names_is_read_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join(".env"), format!("LONG={}\n", "x".repeat(60_000))).unwrap();
    let long = "      - $LONG\n".repeat(15_000);
    let grown = path.join("grown.yml");
    fs::write(&grown, format!("services:\n  a:\n    image: b\n    command:\n{long}")).unwrap();
    let kinds: Vec<Kind> = look(&grown).iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::Broken]);

    let named = "      - nowhere.env\n".repeat(1_000);
    let mut text = format!("services:\n  a0:\n    image: b\n    env_file: &all\n{named}");
    for service in 1..1_000 {
        writeln!(text, "  a{service}:\n    image: b\n    env_file: *all").unwrap();
    }
    let many = path.join("many.yml");
    fs::write(&many, text).unwrap();
    let missing = look(&many).iter().filter(|one| one.kind == Kind::FileMissing).count();
    assert!((1_000..=2_000).contains(&missing), "{missing}");
}

/// Where lines go into a line, a person is told behind what; nothing else of the line is repeated.
#[test]
fn the_place_of_a_proposal_is_so_exact_that_a_person_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yml");
    let text = r#"
services:
  orchestrator:
    image: agent:1
    restart: always
    environment: {TOKEN: hunter2, OLLAMA_BASE_URL: "http://host.docker.internal:11434"}
    extra_hosts: ["other:10.0.0.1"]
  orchestrator-b: {image: agent:1, restart: "no", mem_limit: 2g}
  orchestrator-c:
    image: agent:1
    restart: "no"  # for now
    ports: ["8080:80", "8080:443"]
"#;
    fs::write(&file, text).unwrap();
    let words = Words::new("en");
    let findings = audit(&read(&[file], &[], &|_| None), &host());
    let place = |kind: Kind, service: &str| {
        let of = |one: &&Finding| one.kind == kind && one.service.as_deref() == Some(service);
        let finding = findings.iter().find(of);
        let finding = finding.unwrap_or_else(|| panic!("no {kind:?} of {service}: {findings:?}"));
        finding.view(&words).fix.expect("lines to write").place
    };
    for (kind, service, told) in [
        (Kind::WebhookMissing, "orchestrator", "In line 6, write right behind `environment: {`:"),
        (
            Kind::HostGatewayMissing,
            "orchestrator",
            "In line 7, write right behind `extra_hosts: [`:",
        ),
        (Kind::MemoryLimitMissing, "orchestrator", "Write before line 4:"),
        (Kind::RestartNo, "orchestrator-b", "In line 8, in place of columns 36 to 48, write:"),
        (Kind::RestartNo, "orchestrator-c", "Write in line 11 instead:"),
        (Kind::PortTwice, "orchestrator-c", "In line 12, in place of columns 24 to 33, write:"),
    ] {
        assert_eq!(place(kind, service), told);
    }
}

/// C8: what was raised for now is told with the line that makes it last.
#[test]
fn c8_the_line_that_holds_a_limit_is_found_in_the_file_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let text = r"
services:
  limited:
    image: a
    mem_limit: 512m  # enough
  free:
    image: a
  deployed:
    image: a
    deploy: {resources: {limits: {memory: 1g}}}
  extended:
    extends: {file: base.yml, service: base}
";
    write("compose.yml", text);
    write("over.yml", "services:\n  limited:\n    mem_limit: \"${LIMIT:-768m}\"\n");
    write("base.yml", "services:\n  base:\n    image: a\n    mem_limit: 1g\n");
    let told = |files: &[&str], service: &str| {
        let compose = Compose {
            files: files.iter().map(|name| path(name)).collect(),
            service: service.into(),
            project: None,
            directory: None,
            env_file: None,
            light: BTreeMap::new(),
        };
        let place = limit_place(&compose, 3 << 29)?;
        let file = Path::new(&place.file).file_name().unwrap().to_string_lossy().into_owned();
        Some(format!("{file}:{} {} {}", place.line, place.instead, place.text))
    };
    for (files, service, expected) in [
        (&["compose.yml"][..], "limited", "compose.yml:5 true mem_limit: 1536m"),
        (&["compose.yml", "over.yml"], "limited", "over.yml:3 true mem_limit: 1536m"),
        (&["compose.yml"], "free", "compose.yml:7 false mem_limit: 1536m"),
        (&["compose.yml"], "deployed", "compose.yml:10 true memory: 1536m"),
        (&["compose.yml"], "extended", "base.yml:4 true mem_limit: 1536m"),
    ] {
        assert_eq!(told(files, service).as_deref(), Some(expected), "{service}");
    }
    assert_eq!(told(&["compose.yml"], "unknown"), None);
    assert_eq!(told(&["gone.yml"], "limited"), None);
}
