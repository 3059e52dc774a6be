use std::io::Write as _;
use std::path::{Path, PathBuf};

use doctor::{CauseId, Confidence};

use super::{FILES, Followed, Logs, Of, Signature, built_in, matching, read};

const WHERE: &str = "/etc/homeostat/signatures.toml";

fn parsed(text: &str) -> Result<Vec<Signature>, String> {
    read(Path::new(WHERE), text).map_err(|errors| errors.to_string())
}

#[test]
fn the_built_in_signatures_match_their_examples_and_nothing_else() {
    let all = parsed(include_str!("signatures.toml")).unwrap();
    assert!(all.len() > 40 && built_in() == all);
}

/// Every string that the documents about the old healers quote from logs.
#[test]
fn what_the_old_healers_looked_for_is_among_them() {
    let logs = |of| Logs::new(of, &[], Vec::new());
    let table = [
        (Of::Ollama, "Reentrancy avoided", CauseId::OllamaMetalSessionLost),
        (Of::Ollama, "compiler is no longer active", CauseId::OllamaMetalContention),
        (Of::Ollama, "MTLCompilerService", CauseId::OllamaMetalContention),
        (Of::Ollama, "llama runner process has terminated", CauseId::OllamaCrashed),
        (Of::Ollama, "failed to allocate context", CauseId::OllamaMetalOom),
        (Of::Ollama, "out of memory", CauseId::OllamaMetalOom),
        (Of::Ollama, "model corrupted", CauseId::OllamaModelCorrupt),
        (Of::Mlx, "Metal OOM", CauseId::MlxMetalOom),
        (Of::Container, "RuntimeError: no running event loop", CauseId::ContainerLoggerCrash),
        (Of::Container, "Knowledge OS Database pool создан", CauseId::ContainerStartupHang),
    ];
    for (of, line, cause) in table {
        assert_eq!(
            matching(&logs(of).signatures, line).map(|sign| sign.cause),
            Some(cause),
            "{line}"
        );
    }
    assert_eq!(
        matching(&logs(Of::Mlx).signatures, "Reentrancy avoided"),
        None,
        "a log of another server"
    );
}

#[test]
fn the_surest_one_of_several_counts() {
    let logs = Logs::new(Of::Ollama, &[], Vec::new());
    let line = "llama-server process has terminated: exit status 1: failed to allocate context";
    let sign = matching(&logs.signatures, line).unwrap();
    assert_eq!((sign.cause, sign.confidence), (CauseId::OllamaMetalOom, Confidence::Likely));
}

const OWN: &str = r#"
[[signature]]
id = "my-fan"
of = "ollama"
cause = "ollama.leak"
confidence = "possible"
all = ["my fan howls"]
example = "today My Fan howls"
counter_example = "silence"
"#;

#[test]
fn a_persons_own_signatures_add_to_them() {
    let own = parsed(OWN).unwrap();
    let logs = Logs::new(Of::Ollama, &own, Vec::new());
    assert_eq!(
        matching(&logs.signatures, "my fan howls again").unwrap().cause,
        CauseId::OllamaLeak
    );
    assert!(matching(&logs.signatures, "Reentrancy avoided").is_some());
}

#[test]
fn faults_name_file_and_line() {
    let with = |old: &str, new: &str| parsed(&OWN.replace(old, new)).unwrap_err();
    for (old, new, says) in [
        (
            "ollama.leak",
            "ollama.lek",
            "toml:2: [[signature]] id = \"my-fan\": cause = \"ollama.lek\" is no known cause",
        ),
        ("ollama.leak", "mlx.crashed", "is not a cause of this server's"),
        (
            "today My Fan howls",
            "nothing",
            "toml:2: [[signature]] id = \"my-fan\": its example does not match it",
        ),
        ("\"silence\"", "\"my fan howls\"", "its counter_example matches it"),
        ("\"my fan howls\"]", "\"fan\"]", "at least 6 letters"),
        ("possible", "perhaps", "toml:6: unknown variant `perhaps`"),
        ("all = ", "any = ", "unknown field `any`"),
        ("id = \"my-fan\"\n", "", "missing field `id`"),
        ("[[signature]]", "[[signature]", "toml:2"),
        // A signature that fires on what people write is none.
        ("today My Fan howls", "prompt: my fan howls", "its example does not match it"),
    ] {
        let errors = with(old, new);
        assert!(errors.contains(says), "{new}: {errors}");
        assert!(errors.starts_with(WHERE), "{errors}");
    }
    let twice = parsed(&format!("{OWN}{OWN}")).unwrap_err();
    assert!(twice.contains("toml:11") && twice.contains("twice"), "{twice}");
}

#[test]
fn what_is_written_is_told_once_and_what_was_old_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("server.log");
    let write = |text: &str| {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let now = jiff::Timestamp::now();
    write("time=2020-01-01T00:00:00Z level=INFO msg=x\nReentrancy avoided\n");
    write(&format!("time={now} level=ERROR msg=\"corrupt manifests detected, skipping\"\n"));
    let logs = Logs::new(Of::Ollama, &[], vec![path.clone()]);
    let causes = || logs.signs(None).into_iter().map(|sign| sign.cause).collect::<Vec<_>>();
    assert_eq!(causes(), [CauseId::OllamaModelCorrupt]);
    assert_eq!(causes(), []);
    write("error: Reentrancy avoided\nReentrancy avoided once more\nprompt=\"out of memory\"\n");
    let signs = logs.signs(None);
    assert_eq!(signs.len(), 1, "{signs:?}");
    assert_eq!(signs[0].line, "Reentrancy avoided once more");
    // Without anybody's process it stays followed: the last words tell most.
    write("out of memory\n");
    assert_eq!(causes(), [CauseId::OllamaMetalOom]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_file_that_a_process_writes_to_is_found_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("somewhere.log");
    let log = std::fs::File::create(&path).unwrap();
    let mut child = std::process::Command::new("sh")
        .args(["-c", "read x; echo Reentrancy avoided >&2; read y"])
        .stdin(std::process::Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let process = crate::platform::process(child.id()).unwrap().id;
    let logs = Logs::new(Of::Ollama, &[], Vec::new());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    assert_eq!(logs.signs(Some(&process)), []);
    child.stdin.as_mut().unwrap().write_all(b"x\n").unwrap();
    let sign = loop {
        if let Some(sign) = logs.signs(Some(&process)).pop() {
            break sign;
        }
        assert!(std::time::Instant::now() < deadline, "nothing was read");
        std::thread::yield_now();
    };
    assert_eq!(sign.cause, CauseId::OllamaMetalSessionLost);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_log_that_nobody_writes_to_any_more_makes_room_for_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = |number: usize| {
        let path = directory.path().join(format!("{number}.log"));
        std::fs::write(&path, "").unwrap();
        path
    };
    let mut followed = Followed::default();
    for number in 0..3 * FILES {
        followed.add(None, &[path(number)]);
        assert!(followed.files.contains_key(&path(number)), "{number}");
        assert!(followed.files.len() <= FILES);
    }
}
