//! By which names a process goes. Never by a part of a name: `ollama-mcp` is not `ollama`.

use doctor::ProcessSeen;

/// Whether one of the process's names is one of `names`.
pub fn goes_by(process: &ProcessSeen, names: &[&str]) -> bool {
    let is_one = |name: &str| !name.is_empty() && names.contains(&name);
    is_one(process.id.program())
        || is_one(first_argument(process))
        || script(process).is_some_and(is_one)
}

/// The file name of the executable, or of `argv[0]` where the system hides the executable.
pub(super) fn program(process: &ProcessSeen) -> &str {
    let program = process.id.program();
    if program.is_empty() { first_argument(process) } else { program }
}

/// Whether this is a Python interpreter, of whatever version (`python3.12`, macOS `Python`).
pub(super) fn is_python(program: &str) -> bool {
    program.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("python"))
        || program.starts_with("pypy")
}

/// A shell pattern of plain characters and `*`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

/// `NAME=value` of an environment.
pub(super) fn pair(word: &[u8]) -> Option<(String, String)> {
    let (name, value) = str::from_utf8(word).ok()?.split_once('=')?;
    (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

fn first_argument(process: &ProcessSeen) -> &str {
    process.command.first().map(String::as_str).map(file_name).unwrap_or_default()
}

/// The file name of the script, or of the module after `-m`, that an interpreter runs.
fn script(process: &ProcessSeen) -> Option<&str> {
    let interpreter = [process.id.program(), first_argument(process)]
        .into_iter()
        .find(|program| is_interpreter(program))?;
    let mut arguments = process.command.iter().skip(1);
    while let Some(argument) = arguments.next() {
        if !argument.starts_with('-') {
            return Some(file_name(argument));
        }
        if is_python(interpreter) && argument == "-m" {
            return arguments.next().map(String::as_str);
        }
        if takes_program_text(interpreter, argument) {
            return None;
        }
    }
    None
}

/// `sh -c TEXT`, `python -c TEXT`, `node -e TEXT`: what follows is no file name.
fn takes_program_text(interpreter: &str, option: &str) -> bool {
    if option.starts_with("--") {
        return matches!(option, "--eval" | "--print");
    }
    let letter = if is_python(interpreter) || is_shell(interpreter) { 'c' } else { 'e' };
    option.contains(letter)
}

fn is_interpreter(program: &str) -> bool {
    is_python(program)
        || is_shell(program)
        || matches!(program, "node" | "nodejs" | "bun" | "deno" | "ruby")
        || program.starts_with("perl")
}

/// Whether this is a command interpreter, a login one too (`-zsh`).
pub(super) fn is_shell(program: &str) -> bool {
    matches!(
        program.trim_start_matches('-'),
        "sh" | "bash" | "dash" | "zsh" | "ksh" | "fish" | "busybox"
    )
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use doctor::{ProcessId, ProcessSeen};

    use super::{goes_by, is_python, matches};

    fn process(executable: &str, command: &[&str]) -> ProcessSeen {
        ProcessSeen {
            id: ProcessId { pid: 7, started: 1, executable: executable.to_owned() },
            uid: None,
            user: None,
            parent: None,
            command: command.iter().map(|&word| word.to_owned()).collect(),
            since: None,
        }
    }

    #[test]
    fn a_name_is_the_whole_name_of_program_argument_or_script() {
        let table: [(&str, &[&str], &str, bool); 16] = [
            ("/usr/bin/ollama", &["ollama", "serve"], "ollama", true),
            ("/usr/bin/ollama (deleted)", &["/usr/bin/ollama", "serve"], "ollama", true),
            ("", &["/opt/homebrew/bin/ollama", "serve"], "ollama", true),
            ("/usr/bin/node", &["node", "/usr/bin/ollama-mcp"], "ollama-mcp", true),
            ("/usr/bin/node", &["node", "/usr/bin/ollama-mcp"], "ollama", false),
            ("/usr/bin/node", &["node", "--inspect", "/usr/bin/ollama-mcp"], "ollama-mcp", true),
            ("/usr/bin/python3.12", &["python3", "-m", "mlx_lm.server"], "mlx_lm.server", true),
            ("/usr/bin/python3.12", &["python3", "-c", "ollama"], "ollama", false),
            ("/bin/sh", &["sh", "-c", "ollama"], "ollama", false),
            ("/bin/bash", &["bash", "-lc", "ollama"], "ollama", false),
            ("/usr/bin/node", &["node", "-e", "ollama"], "ollama", false),
            ("/bin/dash", &["/bin/sh", "/home/a/ollama-mcp", "x"], "ollama-mcp", true),
            ("/usr/bin/less", &["less", "ollama"], "ollama", false),
            ("/usr/bin/vim", &["vim", "/usr/bin/ollama-mcp"], "ollama-mcp", false),
            ("/usr/bin/python3", &["python3", "ollama.py"], "ollama", false),
            ("", &[], "", false),
        ];
        for (executable, command, name, expected) in table {
            let found = goes_by(&process(executable, command), &[name]);
            assert_eq!(found, expected, "{executable} {command:?} as {name}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("python*", "python3.12", true),
            ("python*", "Python", false),
            ("Python", "Python", true),
            ("Python", "Python3", false),
            ("*", "anything", true),
            ("*-agent", "victoria-agent", true),
            ("*-agent", "victoria-agents", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("", "", true),
            ("", "x", false),
            ("é*", "école", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn pythons() {
        for (program, expected) in [
            ("python3", true),
            ("Python", true),
            ("pypy3", true),
            ("py", false),
            ("ipython", false),
        ] {
            assert_eq!(is_python(program), expected, "{program}");
        }
    }
}
