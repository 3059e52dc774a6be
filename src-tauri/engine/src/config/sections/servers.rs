//! Ollama and MLX.

use std::time::Duration;

use doctor::{Care, Launch, Spec, TargetId};
use reqwest::Url;

use super::super::reader::{Field, Section};
use super::super::{Canary, EnsuredModel, MlxSettings, OllamaSettings, values};
use super::{Reading, boolean};

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);

impl<'a> Reading<'a> {
    pub(super) fn ollama(&mut self, section: Section<'a>) -> Option<OllamaSettings> {
        let named = self.environment.ollama.clone();
        let configured = section.is_present() || named.is_some();
        let url = base_url(&section).or(named).or_else(|| local(11434));
        let watched = self.watched(&section, INTERVAL, TIMEOUT);
        let launch = section.get("launch").and_then(|field| {
            let words = [
                ("auto", Launch::Auto),
                ("app", Launch::App),
                ("brew", Launch::Brew),
                ("serve", Launch::Serve),
            ];
            self.launch(&field, &words)
        });
        let canary = section.get("canary").and_then(|field| canary(&field));
        let pinned = section.get("pinned").and_then(|field| field.names()).unwrap_or_default();
        let unload_under_pressure = boolean(&section, "unload_under_pressure").unwrap_or(true);
        let registry = section.get("registry").and_then(|field| {
            let text = field.text()?;
            field.checked(values::base_url(text))
        });
        let registry = registry.or_else(|| values::base_url("https://registry.ollama.ai").ok());
        let models = section.sections("ensure");
        let ensure: Vec<EnsuredModel> =
            models.into_iter().filter_map(|model| self.ensured(model)).collect();
        self.needs.of(TargetId::Ollama, section.get("needs"));
        section.finish();
        self.roster.push(Spec {
            id: TargetId::Ollama,
            name: "Ollama".into(),
            configured,
            heal: watched.heal,
            interval: watched.interval,
            grace: watched.grace,
            needs: Vec::new(),
            care: Care::Ollama {
                launch: launch.unwrap_or(Launch::Auto),
                pinned: pinned.clone(),
                unload_under_pressure,
                ensure: ensure.iter().map(EnsuredModel::wanted).collect(),
            },
        });
        Some(OllamaSettings {
            url: url?,
            timeout: watched.timeout,
            canary: canary.unwrap_or(Canary::Auto),
            unload_under_pressure,
            pinned,
            registry: registry?,
            ensure,
        })
    }

    pub(super) fn mlx(&mut self, section: Section<'a>) -> Option<MlxSettings> {
        let named = self.environment.mlx.clone();
        let configured = section.is_present() || named.is_some();
        let url = base_url(&section).or(named).or_else(|| local(11435));
        let watched = self.watched(&section, INTERVAL, TIMEOUT);
        let launch = section.get("launch").and_then(|field| self.launch(&field, &[]));
        self.needs.of(TargetId::Mlx, section.get("needs"));
        section.finish();
        self.roster.push(Spec {
            id: TargetId::Mlx,
            name: "MLX".into(),
            configured,
            heal: watched.heal,
            interval: watched.interval,
            grace: watched.grace,
            needs: Vec::new(),
            care: Care::Mlx { launch },
        });
        Some(MlxSettings { url: url?, timeout: watched.timeout })
    }

    /// One of `words`, `launchd:LABEL`, or a command as a list. Words for another platform are
    /// accepted: one file may serve several machines.
    fn launch(&self, field: &Field<'_>, words: &[(&str, Launch)]) -> Option<Launch> {
        if !field.is_text() {
            return self.command(field).map(Launch::Command);
        }
        let text = field.text()?;
        if let Some((_, launch)) = words.iter().find(|(word, _)| *word == text) {
            return Some(launch.clone());
        }
        match text.strip_prefix("launchd:") {
            Some(label) if !label.trim().is_empty() && !label.contains(['/', ' ']) => {
                Some(Launch::Launchd(label.into()))
            }
            Some(_) => {
                field.error("has no label; write \"launchd:com.example.mlx-api-server\"");
                None
            }
            None => {
                let mut names: Vec<String> =
                    words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                names.push("\"launchd:LABEL\"".into());
                let names = names.join(", ");
                field.error(format!("must be {names} or a list [\"command\", \"argument\"]"));
                None
            }
        }
    }

    fn command(&self, field: &Field<'_>) -> Option<Vec<String>> {
        let mut command = field.names()?;
        let Some(program) = command.first_mut() else {
            field.error("names no program; write [\"command\", \"argument\"]");
            return None;
        };
        // A bare name is looked up in PATH; anything with a slash is a path.
        if program.contains('/') {
            *program = self.path(field, program)?;
        }
        for argument in command.iter_mut().skip(1).filter(|text| text.starts_with("~/")) {
            *argument = self.path(field, argument)?;
        }
        Some(command)
    }

    pub(super) fn path(&self, field: &Field<'_>, text: &str) -> Option<String> {
        let path = values::path(text, self.environment.home.as_deref(), self.source.file);
        field.checked(path).map(|path| path.to_string_lossy().into_owned())
    }

    fn ensured(&self, section: Section<'_>) -> Option<EnsuredModel> {
        let model = section.need("model", "\"llama3\"").and_then(|field| field.name());
        let modelfile = section
            .get("modelfile")
            .and_then(|field| self.path(&field, field.text()?))
            .map(Into::into);
        let base = section.get("base").and_then(|field| field.name()).map(str::to_owned);
        section.finish();
        Some(EnsuredModel { model: model?.to_owned(), modelfile, base })
    }
}

fn canary(field: &Field<'_>) -> Option<Canary> {
    if field.is_text() {
        return match field.text()? {
            "auto" => Some(Canary::Auto),
            "off" => Some(Canary::Off),
            _ => {
                field.error("must be \"auto\", \"off\" or a list of models [\"llama3\"]");
                None
            }
        };
    }
    field.names().map(Canary::Models)
}

fn base_url(section: &Section<'_>) -> Option<Url> {
    let field = section.get("url")?;
    let text = field.text()?;
    field.checked(values::base_url(text))
}

fn local(port: u16) -> Option<Url> {
    values::base_url(&format!("http://127.0.0.1:{port}")).ok()
}
