//! Whether a model is the registry's own: one that was made on this machine may bear the name of a
//! stranger's, and would be lost to it by a pull (server/images.go `PullModel` writes the manifest of that
//! name anew, whoever wrote the old one).

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;

use super::manifests::{self, Cache, Manifest};
use super::reading;
use crate::probe::http;

/// Of a manifest, as in [`manifests`].
const LARGEST: usize = 4 << 20;
const WITHIN: Duration = Duration::from_secs(20);
/// server/images.go `pullModelManifest`.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Why nobody may replace this model by the registry's; `registry` stands for `registry.ollama.ai`.
/// A model that has no manifest is no model: nothing is lost with it.
pub(super) async fn refusal(place: PathBuf, model: &str, registry: &str) -> Option<String> {
    let at = place.clone();
    let read = tokio::task::spawn_blocking(move || Cache::default().read(&at)).await;
    let Ok(Ok(all)) = read else {
        return Some(format!("{} cannot be read", place.display()));
    };
    let meant = reading::of(&all, Some(model)).ok()?;
    for manifest in meant {
        if let Err(why) = is_registrys(&place, manifest, registry).await {
            return Some(format!(
                "{why}. Nothing was removed. Make it again with `ollama create {model} -f MODELFILE`, or \
                 replace it by the registry's model of that name with `ollama pull {model}`"
            ));
        }
    }
    None
}

async fn is_registrys(place: &Path, manifest: &Manifest, registry: &str) -> Result<(), String> {
    let name = &manifest.name;
    let here = manifest.layers.as_ref();
    let here = here.ok_or(format!("The manifest of {name} is damaged: it may be your own"))?;
    let url = url(place, manifest, registry).ok_or(format!("{name} is of no registry"))?;
    let there = ask(&url).await.map_err(|why| {
        format!("Whether {name} is the registry's or your own cannot be told: {url} {why}")
    })?;
    let there = there.ok_or(format!("{name} is in no registry: it was made on this machine"))?;
    let digests = |layers: &[manifests::Layer]| {
        let mut all: Vec<String> = layers.iter().map(manifests::Layer::blob).collect();
        all.sort();
        all
    };
    (digests(here) == digests(&there)).then_some(()).ok_or(format!(
        "{name} is not the registry's model of that name: it is another or an older one"
    ))
}

/// `manifests/HOST/NAMESPACE/MODEL/TAG` is `HOST/v2/NAMESPACE/MODEL/manifests/TAG` there.
fn url(place: &Path, manifest: &Manifest, registry: &str) -> Option<String> {
    let path = manifest.file.strip_prefix(place.join("manifests")).ok()?;
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    let parts = parts?;
    let [host, namespace, model, tag] = parts.as_slice() else { return None };
    let base = match *host {
        "registry.ollama.ai" => registry.trim_end_matches('/').to_owned(),
        host => format!("https://{host}"),
    };
    Some(format!("{base}/v2/{namespace}/{model}/manifests/{tag}"))
}

/// None: it has no such model.
async fn ask(url: &str) -> Result<Option<Vec<manifests::Layer>>, String> {
    let client = http::builder().build().map_err(|error| error.to_string())?;
    let asking = async {
        let mut answer = client.get(url).header("Accept", ACCEPT).send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                break;
            }
        }
        Ok::<_, reqwest::Error>((answer.status(), body))
    };
    let answer = tokio::time::timeout(WITHIN, asking).await;
    let (status, body) = answer
        .map_err(|_| format!("does not answer within {} s", WITHIN.as_secs()))?
        .map_err(|_| "cannot be reached".to_owned())?;
    match status {
        StatusCode::OK => manifests::layers(&body)
            .filter(|layers| !layers.is_empty())
            .map(Some)
            .ok_or_else(|| "answers with no manifest".to_owned()),
        StatusCode::NOT_FOUND => Ok(None),
        other => Err(format!("answers with status {}", other.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::*;

    fn text(byte: &str) -> String {
        let digest = |one: &str| format!("sha256:{}", one.repeat(64));
        format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{}","size":3}},"layers":[{{"digest":"{}","size":7}}]}}"#,
            digest("c"),
            digest(byte)
        )
    }

    async fn registry() -> String {
        let manifest = |body: String| get(move || async move { body });
        let routes = Router::new()
            .route("/v2/library/same/manifests/latest", manifest(text("a")))
            .route("/v2/library/other/manifests/latest", manifest(text("b")))
            .route("/v2/library/odd/manifests/latest", manifest("<html>".into()))
            .route(
                "/v2/library/closed/manifests/latest",
                get(|| async { axum::http::StatusCode::UNAUTHORIZED }),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}/")
    }

    #[tokio::test]
    async fn only_what_equals_the_registrys_model_may_be_replaced_by_it() {
        let registry = registry().await;
        let models = tempfile::tempdir().unwrap();
        let library = models.path().join("manifests/registry.ollama.ai/library");
        for name in ["same", "other", "odd", "closed", "own"] {
            std::fs::create_dir_all(library.join(name)).unwrap();
            std::fs::write(library.join(name).join("latest"), text("a")).unwrap();
        }
        std::fs::create_dir_all(library.join("torn")).unwrap();
        std::fs::write(library.join("torn/latest"), "{").unwrap();
        let asked = |model: &'static str| refusal(models.path().to_owned(), model, &registry);
        assert_eq!(asked("same").await, None);
        assert_eq!(asked("same:latest").await, None);
        assert_eq!(asked("nothing").await, None, "there is none to lose");
        for (model, why) in [
            ("other", "not the registry's model"),
            ("odd", "no manifest"),
            ("closed", "status 401"),
            ("own", "made on this machine"),
            ("torn", "damaged"),
        ] {
            let said = asked(model).await.unwrap_or_default();
            let command = format!("`ollama create {model} -f MODELFILE`");
            assert!(said.contains(why) && said.contains(&command), "{model}: {said}");
        }
        let nobody = refusal(models.path().to_owned(), "same", "http://127.0.0.1:1").await;
        assert!(nobody.is_some_and(|said| said.contains("cannot be reached")));
    }
}
