//! What a service is, by what it says of itself.

use crate::audit::project::{Project, Service};

/// Switches that make a start light (the first users' Victoria, its restarts 2 and 3).
pub(in crate::audit) const LIGHT_START: [&str; 3] =
    ["RAG_PRELOAD_TYPICAL_QUERIES", "SERVICE_MONITOR_ENABLED", "ENABLE_EVENT_MONITORING"];

/// The port of Ollama, and that of the MLX server.
const MODEL_PORTS: [u16; 2] = [11434, 11435];

/// Ollama itself, as a container.
pub(super) fn is_model_server(service: &Service) -> bool {
    let image = service.text("image").unwrap_or_default();
    let name = image.rsplit_once(':').map_or(image, |(name, _)| name);
    name == "ollama/ollama" || name.ends_with("/ollama/ollama")
}

/// It asks language models, and so depends on them.
pub(super) fn asks_models(service: &Service) -> bool {
    if is_model_server(service) {
        return false;
    }
    let by_name = service.variables.iter().any(|variable| {
        ["OLLAMA_", "MLX_", "MAC_LLM_URL", "RECOVERY_WEBHOOK_URL"]
            .iter()
            .any(|prefix| variable.name.starts_with(prefix))
    });
    let by_address = || {
        let mut values = service.variables.iter().filter_map(|variable| variable.value.as_deref());
        values.any(names_model_port) || names_model_port(&service.command())
    };
    by_name || is_victoria(service) || is_orchestrator(service) || by_address()
}

/// An agent of the kind that the first users describe as Victoria: heavy at start, with its own monitor.
pub(in crate::audit) fn is_victoria(service: &Service) -> bool {
    service.called().contains("victoria")
        || service.variables.iter().any(|variable| {
            variable.name.starts_with("VICTORIA_") || LIGHT_START.contains(&variable.name.as_str())
        })
}

/// What creates tasks all day and night.
pub(super) fn is_orchestrator(service: &Service) -> bool {
    service.called().contains("orchestrator")
        || service.variables.iter().any(|variable| variable.name.starts_with("ORCHESTRATOR_"))
}

/// It is meant to end, and to end well: another one waits for that, or a person calls it by profile.
pub(super) fn is_job(project: &Project, service: &Service) -> bool {
    let completes = |(name, condition, _): (String, Option<String>, _)| {
        name == service.name && condition.as_deref() == Some("service_completed_successfully")
    };
    !service.profiles().is_empty()
        || project.services.iter().any(|other| other.depends_on().into_iter().any(completes))
}

/// It stays: it asks models, is asked by others, or watches itself.
pub(super) fn is_long_running(project: &Project, service: &Service) -> bool {
    !is_job(project, service)
        && (asks_models(service)
            || !service.ports().is_empty()
            || service.health().is_some_and(|health| !health.off))
}

pub(super) fn names_model_port(text: &str) -> bool {
    MODEL_PORTS.iter().any(|port| text.contains(&format!(":{port}")))
}
