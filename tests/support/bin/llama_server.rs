//! The runner that the fake Ollama starts for each model: holds memory and answers `/health`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::llama_server::main()
}
