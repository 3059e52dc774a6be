//! A program that answers as Ollama does: `ollama serve`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::fake_ollama::main()
}
