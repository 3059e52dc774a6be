//! The kinds of MLX server that tell at a path of their own what is in memory (FACTS B.2). Nothing
//! of this loads a model, or puts off the time at which one is unloaded.

use doctor::{LoadedSeen, MlxServer};
use serde_json::Value;

use crate::probe::http::Got;

/// mlx-omni-server `src/mlx_omni_server/chat/openai/cache_router.py`.
pub(super) const OMNI: &str = "/v1/cache";
/// LM Studio's documentation, `1_developer/2_rest/list.md`.
pub(super) const LM_STUDIO: &str = "/api/v1/models";
/// oMLX `omlx/server.py`; refused without a key where one is set.
pub(super) const OMLX: &str = "/v1/models/status";

/// The path that tells both that it lives and what is loaded, so that a shallow look is one request.
pub(super) fn own_path(server: MlxServer) -> Option<&'static str> {
    match server {
        MlxServer::Omni => Some(OMNI),
        MlxServer::LmStudio => Some(LM_STUDIO),
        MlxServer::MlxLm
        | MlxServer::OpenAi
        // What tells that it lives needs no key, what is loaded may.
        | MlxServer::Omlx
        | MlxServer::ModelServer
        | MlxServer::Ollama
        | MlxServer::Unrecognised => None,
    }
}

/// LM Studio answers 200 to what it does not know, with these words (lmstudio-bug-tracker 618, 1323
/// and 2085).
pub(super) fn is_lm_studio(path: &str, answer: &Value) -> bool {
    let words = format!("Unexpected endpoint or method. (GET {path})");
    answer.as_object().is_some_and(|map| map.len() == 1) && answer["error"] == words
}

/// Which kind it is that answers so, and what it holds.
pub(super) fn of_own_path(path: &str, got: &Got) -> Option<(MlxServer, Vec<LoadedSeen>)> {
    let answer: Value = got.json()?;
    match path {
        OMNI => Some((MlxServer::Omni, of_omni(&answer)?)),
        LM_STUDIO => Some((MlxServer::LmStudio, of_lm_studio(&answer)?)),
        OMLX => Some((MlxServer::Omlx, of_omlx(&answer)?)),
        _ => None,
    }
}

/// `wrapper_cache.py` `get_cache_info`: the keys are Python's text of a dataclass. Without a time
/// limit the server was told to keep what it has; the default is five minutes.
fn of_omni(answer: &Value) -> Option<Vec<LoadedSeen>> {
    let limit = answer["ttl_seconds"].as_u64()?;
    answer["max_size"].as_u64()?;
    let ends = answer["ttl_info"].as_array()?;
    let left = |key: &str| {
        let end = ends.iter().find(|end| end["key"] == key)?;
        whole_seconds(end["remaining_ttl_seconds"].as_f64()?)
    };
    let keys = answer["cached_keys"].as_array()?.iter();
    keys.map(|key| {
        let key = key.as_str()?;
        Some(LoadedSeen {
            name: model_id(key)?.to_owned(),
            size_bytes: 0,
            vram_bytes: 0,
            context_length: 0,
            expires_in_s: left(key),
            stays: limit == 0,
        })
    })
    .collect()
}

/// `WrapperCacheKey(model_id='NAME', adapter_path=None, draft_model_id=None)`.
fn model_id(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("WrapperCacheKey(model_id=")?;
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    rest[1..].split_once(quote).map(|(name, _)| name)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, which is what is wanted of seconds"
)]
fn whole_seconds(seconds: f64) -> Option<u64> {
    seconds.is_finite().then(|| seconds.round().max(0.0) as u64)
}

/// Each model that is on disk, with the instances of it that are loaded.
fn of_lm_studio(answer: &Value) -> Option<Vec<LoadedSeen>> {
    let mut loaded = Vec::new();
    for model in answer["models"].as_array()? {
        let (name, instances) = (model["key"].as_str()?, model["loaded_instances"].as_array()?);
        let of_one = model["size_bytes"].as_u64().unwrap_or(0);
        let longest =
            instances.iter().filter_map(|one| one["config"]["context_length"].as_u64()).max();
        if !instances.is_empty() {
            let size = of_one.saturating_mul(u64::try_from(instances.len()).unwrap_or(1));
            loaded.push(LoadedSeen {
                name: name.to_owned(),
                size_bytes: size,
                vram_bytes: 0,
                context_length: longest.unwrap_or(0),
                expires_in_s: None,
                stays: false,
            });
        }
    }
    Some(loaded)
}

/// `omlx/engine_pool.py` `get_status`. One that is pinned there is kept even from oMLX's own limits.
fn of_omlx(answer: &Value) -> Option<Vec<LoadedSeen>> {
    let models = answer["models"].as_array()?.iter();
    let loaded = models.filter(|model| model["loaded"] == true && model["is_loading"] != true);
    let size = |model: &Value| {
        let sizes = [&model["actual_size"], &model["estimated_size"]];
        sizes.iter().find_map(|size| size.as_u64().filter(|size| *size > 0)).unwrap_or(0)
    };
    loaded
        .map(|model| {
            Some(LoadedSeen {
                name: model["id"].as_str()?.to_owned(),
                size_bytes: size(model),
                vram_bytes: 0,
                context_length: 0,
                expires_in_s: None,
                // Where that is not told nothing is taken for free to go.
                stays: model["pinned"] != false,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(loaded: &[LoadedSeen]) -> Vec<&str> {
        loaded.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn omni_names_what_it_holds_in_the_words_of_python() {
        let key = "WrapperCacheKey(model_id='mlx-community/Qwen3-8B-4bit', adapter_path=None, draft_model_id=None)";
        let info = |limit: u64, ends: Value| {
            json!({
                "cache_size": 1, "max_size": 1, "ttl_seconds": limit,
                "cached_keys": [key], "lru_order": [key], "ttl_info": ends,
            })
        };
        let end = json!([{"key": key, "remaining_ttl_seconds": 211.6, "expires_at": 1.0}]);
        let loaded = of_omni(&info(300, end)).unwrap();
        assert_eq!(names(&loaded), ["mlx-community/Qwen3-8B-4bit"]);
        assert_eq!((loaded[0].expires_in_s, loaded[0].stays), (Some(212), false));
        // `--model-cache-ttl 0`: somebody wants it to stay.
        let loaded = of_omni(&info(0, json!([]))).unwrap();
        assert_eq!((loaded[0].expires_in_s, loaded[0].stays), (None, true));
        assert_eq!(model_id("WrapperCacheKey(model_id=\"it's\", adapter_path=None)"), Some("it's"));
        for other in [
            json!({}),
            json!({"status": "ok"}),
            json!({"cached_keys": [], "max_size": 1}),
            json!({"cached_keys": ["a:b"], "max_size": 1, "ttl_seconds": 5, "ttl_info": []}),
        ] {
            assert_eq!(of_omni(&other), None, "{other}");
        }
    }

    #[test]
    fn lm_studio_lists_all_and_says_which_have_instances() {
        let answer = json!({"models": [
            {"key": "google/gemma", "size_bytes": 10, "loaded_instances": [
                {"id": "google/gemma", "config": {"context_length": 4096}},
                {"id": "google/gemma:2", "config": {"context_length": 8192}},
            ]},
            {"key": "deepseek-r1", "size_bytes": 40, "loaded_instances": []},
        ]});
        let loaded = of_lm_studio(&answer).unwrap();
        assert_eq!(names(&loaded), ["google/gemma"]);
        assert_eq!((loaded[0].size_bytes, loaded[0].context_length), (20, 8192));
        assert_eq!(of_lm_studio(&json!({"models": []})), Some(Vec::new()));
        // Ollama's list, and that of a program that answers anything.
        assert_eq!(of_lm_studio(&json!({"models": [{"name": "llama3:8b"}]})), None);
        assert_eq!(of_lm_studio(&json!({"status": "ok"})), None);
    }

    #[test]
    fn lm_studio_is_told_by_its_own_words_alone() {
        let says = |text: &str| is_lm_studio("/health", &json!({ "error": text }));
        assert!(says("Unexpected endpoint or method. (GET /health)"));
        assert!(!says("Unexpected endpoint or method. (GET /)"));
        assert!(!says("not found"));
        assert!(!is_lm_studio("/health", &json!({"status": "ok"})));
    }

    #[test]
    fn omlx_tells_what_is_loaded_and_what_is_pinned() {
        let answer = json!({"models": [
            {"id": "a", "loaded": true, "is_loading": false, "pinned": false, "estimated_size": 7},
            {"id": "b", "loaded": true, "pinned": true, "estimated_size": 7, "actual_size": 9},
            {"id": "c", "loaded": true, "estimated_size": 7},
            {"id": "d", "loaded": false, "pinned": false},
            {"id": "e", "loaded": true, "is_loading": true, "pinned": false},
        ]});
        let loaded = of_omlx(&answer).unwrap();
        assert_eq!(names(&loaded), ["a", "b", "c"]);
        assert_eq!(loaded.iter().map(|one| one.stays).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(loaded.iter().map(|one| one.size_bytes).collect::<Vec<_>>(), [7, 9, 7]);
        assert_eq!(of_omlx(&json!({"detail": "no key"})), None);
    }
}
