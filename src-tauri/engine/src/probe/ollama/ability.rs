//! What a model can do: told by `/api/show` (FACTS A.3; server/routes.go `ShowHandler`).

use std::time::Duration;

use serde_json::{Value, json};

use crate::probe::http::{self, Outcome};

const WITHIN: Duration = Duration::from_secs(5);
/// The answer holds licences and templates.
const CAP: usize = 4 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ability {
    pub(super) does: Does,
    /// File of its weights, by which its runner is told from others.
    pub(super) blob: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    Generate {
        /// It thinks unless told not to; others refuse the word (server/routes.go: 400 "does not
        /// support thinking").
        thinks: bool,
    },
    Embed,
    /// It makes images, runs in the cloud, or nobody knows.
    Neither,
}

/// None where the server does not say: then it is asked again next time.
pub(super) async fn ability(url: &str, model: &str) -> Option<Ability> {
    let body = json!({ "model": model });
    let got = http::post(&format!("{url}/api/show"), &body, WITHIN, CAP).await;
    match &got.outcome {
        Outcome::Answered { code: 200..=299, body } => {
            Some(read(&serde_json::from_slice(body).ok()?))
        }
        Outcome::Answered { .. } | Outcome::Failed(_) | Outcome::Unasked(_) => None,
    }
}

fn read(shown: &Value) -> Ability {
    let texts = |field: &Value| -> Vec<String> {
        let list = field.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let can: Vec<String> = texts(&shown["capabilities"]);
    let has = |what: &str| can.iter().any(|one| one == what);
    let in_cloud = shown["remote_host"].as_str().is_some_and(|host| !host.is_empty());
    let does = if in_cloud {
        Does::Neither
    } else if has("completion") {
        Does::Generate { thinks: has("thinking") }
    } else if has("embedding") {
        Does::Embed
    } else if !can.is_empty() {
        Does::Neither
    } else if texts(&shown["details"]["families"]).iter().any(|family| family.contains("bert")) {
        // Versions before 0.6.4 name no capabilities.
        Does::Embed
    } else {
        Does::Generate { thinks: false }
    };
    let modelfile = shown["modelfile"].as_str().unwrap_or_default();
    let from = modelfile.lines().find_map(|line| line.strip_prefix("FROM /"));
    let blob = from.and_then(|path| path.rsplit('/').next()).map(|name| name.trim().to_owned());
    Ability { does, blob }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_can_do() {
        let generate = |thinks| Does::Generate { thinks };
        let table = [
            (json!({"capabilities": ["completion", "tools"]}), generate(false)),
            (json!({"capabilities": ["completion", "thinking"]}), generate(true)),
            (json!({"capabilities": ["embedding"]}), Does::Embed),
            (json!({"capabilities": ["image"]}), Does::Neither),
            (
                json!({"capabilities": ["completion"], "remote_host": "https://ollama.com"}),
                Does::Neither,
            ),
            (json!({"details": {"families": ["nomic-bert"]}}), Does::Embed),
            (json!({"details": {"families": null}}), generate(false)),
        ];
        for (shown, does) in table {
            assert_eq!(read(&shown).does, does, "{shown}");
        }
    }

    #[test]
    fn the_file_of_its_weights() {
        let shown = json!({"modelfile": "# Modelfile\n# FROM x:latest\n\nFROM /m/blobs/sha256-ab\nTEMPLATE x"});
        assert_eq!(read(&shown).blob.as_deref(), Some("sha256-ab"));
        assert_eq!(read(&json!({"modelfile": "FROM llama3"})).blob, None);
    }
}
