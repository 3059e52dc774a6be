//! What a click asks for and is answered, as JSON: the window's commands and the tray's items say it
//! in the same words.

use std::time::Duration;

use doctor::{Asker, MeasurePlan, Response, TargetId, Unload, Wish};
use serde::{Deserialize, Serialize};

use crate::handle::{Handle, Handover};

/// Longer names and longer lists are no person's click.
const LONGEST_NAME: usize = 512;
const MODELS: usize = 100;
const SHORTEST_HOLD: Duration = Duration::from_secs(1);
const LONGEST_HOLD: Duration = Duration::from_hours(365 * 24);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Request {
    Restart {
        target: TargetId,
    },
    Start {
        target: TargetId,
    },
    /// With `for` (`30m`, `1h`) it is started again after that time.
    Stop {
        target: TargetId,
        #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
        within: Option<String>,
    },
    /// With `for` (`30m`, `1h`) it ends by itself.
    Hold {
        target: TargetId,
        #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
        within: Option<String>,
    },
    Release {
        target: TargetId,
    },
    /// None: everything.
    Recover {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<TargetId>,
    },
    /// Look at everything, nothing else.
    Check,
    /// Exactly one of the three.
    Unload {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        #[serde(default, skip_serializing_if = "is_false")]
        idle: bool,
        #[serde(default, skip_serializing_if = "is_false")]
        all: bool,
    },
    /// None named: all of them.
    Measure {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        models: Vec<String>,
    },
    CancelMeasure,
    /// None: every configured model.
    Ensure {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// None: all of them.
    VerifyModels {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// None: what is known to be broken.
    Repair {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// More memory for a container, bytes; none: what is proposed.
    Raise {
        target: TargetId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
    },
    /// End the other healers, whose place we take (C12).
    TakeOver,
    /// Put them back as they were.
    GiveBack,
    /// Break off an errand that takes long.
    Cancel {
        operation: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Answer {
    /// An operation runs for it; the snapshot tells how it goes.
    Accepted {
        operation: String,
    },
    Done,
    Refused {
        text: String,
    },
}

/// Asks as the person who sits here; a request that makes no sense is refused in words.
pub async fn ask(handle: &Handle, request: Request) -> Answer {
    let handover =
        [(Request::TakeOver, Handover::TakeOver), (Request::GiveBack, Handover::GiveBack)];
    let handover = handover.into_iter().find(|(one, _)| *one == request).map(|(_, what)| what);
    if let Some(handover) = handover {
        return if handle.hand_over(handover) {
            Answer::Done
        } else {
            Answer::Refused { text: handle.words.say("ourselves.stopping") }
        };
    }
    let wish = match Wish::try_from(request) {
        Ok(wish) => wish,
        Err(text) => return Answer::Refused { text },
    };
    match handle.wish(wish, Asker::Person).await {
        Response::Accepted { operation, .. } => Answer::Accepted { operation },
        Response::Done => Answer::Done,
        Response::Held(says) | Response::NotNow(says) | Response::Impossible(says) => {
            Answer::Refused { text: handle.words.sentence(&says) }
        }
    }
}

impl TryFrom<Request> for Wish {
    type Error = String;

    fn try_from(request: Request) -> Result<Self, String> {
        Ok(match request {
            Request::Restart { target } => Self::Restart { target },
            Request::Start { target } => Self::Start { target },
            Request::Stop { target, within } => {
                let within = within.as_deref().map(hold_time).transpose()?;
                Self::Stop { target, within }
            }
            Request::Hold { target, within } => {
                let within = within.as_deref().map(hold_time).transpose()?;
                Self::Hold { target, within }
            }
            Request::Release { target } => Self::Release { target },
            Request::Recover { target } => Self::Recover { targets: target.into_iter().collect() },
            Request::Check => Self::CheckEverything,
            Request::Unload { model, idle, all } => Self::Unload(match (model, idle, all) {
                (Some(model), false, false) => Unload::Model(named(model)?),
                (None, true, false) => Unload::Idle,
                (None, false, true) => Unload::All,
                (Some(_) | None, _, _) => {
                    return Err("expected exactly one of model, idle and all".into());
                }
            }),
            Request::Measure { models } if models.len() > MODELS => {
                return Err(format!("at most {MODELS} models can be named"));
            }
            Request::Measure { models } => Self::Measure(MeasurePlan {
                models: models.into_iter().map(named).collect::<Result<_, _>>()?,
            }),
            Request::CancelMeasure => Self::CancelMeasure,
            Request::Ensure { model } => Self::Ensure { model: model.map(named).transpose()? },
            Request::VerifyModels { model } => {
                Self::VerifyModels { model: model.map(named).transpose()? }
            }
            Request::Repair { model } => Self::Repair { model: model.map(named).transpose()? },
            Request::Raise { target, to } => Self::Raise { target, to },
            Request::TakeOver | Request::GiveBack => {
                return Err("nothing that a target is asked for".into());
            }
            Request::Cancel { operation } => Self::Cancel { operation: named(operation)? },
        })
    }
}

/// How long a hold lasts, as the configuration writes durations.
pub fn hold_time(text: &str) -> Result<Duration, String> {
    let within = crate::config::duration(text).map_err(|_| {
        format!(
            "for: \"{text}\" is not a duration; allowed is a whole number with a unit, such as 30s, \
             10m or 1h"
        )
    })?;
    if within < SHORTEST_HOLD || within > LONGEST_HOLD {
        return Err(format!("for: \"{text}\" is out of range; allowed is 1s to 365d"));
    }
    Ok(within)
}

fn named(model: String) -> Result<String, String> {
    if model.is_empty() || model.len() > LONGEST_NAME {
        return Err(format!("a model's name has 1 to {LONGEST_NAME} bytes"));
    }
    Ok(model)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(text: &str) -> Result<Wish, String> {
        let request: Request = serde_json::from_str(text).map_err(|error| error.to_string())?;
        request.try_into()
    }

    #[test]
    fn the_windows_wishes_are_understood() {
        let ollama = TargetId::Ollama;
        let cases = [
            (r#"{"verb":"restart","target":"ollama"}"#, Wish::Restart { target: ollama.clone() }),
            (
                r#"{"verb":"hold","target":"ollama"}"#,
                Wish::Hold { target: ollama.clone(), within: None },
            ),
            (
                r#"{"verb":"hold","target":"ollama","for":"90m"}"#,
                Wish::Hold { target: ollama.clone(), within: Some(Duration::from_mins(90)) },
            ),
            (
                r#"{"verb":"stop","target":"ollama","for":"1h"}"#,
                Wish::Stop { target: ollama.clone(), within: Some(Duration::from_hours(1)) },
            ),
            (r#"{"verb":"recover"}"#, Wish::Recover { targets: vec![] }),
            (
                r#"{"verb":"recover","target":"ollama"}"#,
                Wish::Recover { targets: vec![ollama.clone()] },
            ),
            (r#"{"verb":"check"}"#, Wish::CheckEverything),
            (r#"{"verb":"unload","model":"a"}"#, Wish::Unload(Unload::Model("a".into()))),
            (r#"{"verb":"unload","idle":true}"#, Wish::Unload(Unload::Idle)),
            (r#"{"verb":"unload","all":true}"#, Wish::Unload(Unload::All)),
            (
                r#"{"verb":"measure","models":["a"]}"#,
                Wish::Measure(MeasurePlan { models: vec!["a".into()] }),
            ),
            (r#"{"verb":"measure"}"#, Wish::Measure(MeasurePlan::default())),
            (r#"{"verb":"cancel_measure"}"#, Wish::CancelMeasure),
            (r#"{"verb":"ensure"}"#, Wish::Ensure { model: None }),
            (r#"{"verb":"ensure","model":"a"}"#, Wish::Ensure { model: Some("a".into()) }),
            (r#"{"verb":"verify_models"}"#, Wish::VerifyModels { model: None }),
            (r#"{"verb":"repair","target":"ollama"}"#, Wish::Repair { model: None }),
            (r#"{"verb":"repair","model":"a"}"#, Wish::Repair { model: Some("a".into()) }),
            (
                r#"{"verb":"raise","target":"container:web","to":805306368}"#,
                Wish::Raise { target: TargetId::Container("web".into()), to: Some(768 << 20) },
            ),
            (
                r#"{"verb":"raise","target":"container:web"}"#,
                Wish::Raise { target: TargetId::Container("web".into()), to: None },
            ),
            (r#"{"verb":"cancel","operation":"o-1"}"#, Wish::Cancel { operation: "o-1".into() }),
        ];
        for (text, expected) in cases {
            assert_eq!(wish(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let long = format!(r#"{{"verb":"unload","model":"{}"}}"#, "a".repeat(LONGEST_NAME + 1));
        for text in [
            r#"{"verb":"explode","target":"ollama"}"#,
            r#"{"verb":"restart"}"#,
            r#"{"verb":"restart","target":"nothing"}"#,
            r#"{"verb":"unload"}"#,
            r#"{"verb":"hold","target":"ollama","for":"soon"}"#,
            r#"{"verb":"hold","target":"ollama","for":"0s"}"#,
            r#"{"verb":"hold","target":"ollama","for":"366d"}"#,
            r#"{"verb":"unload","model":""}"#,
            r#"{"verb":"ensure","model":""}"#,
            r#"{"verb":"cancel"}"#,
            r#"{"verb":"raise","target":"container:web","to":-1}"#,
            r#"{"verb":"raise","target":"container:web","to":"768m"}"#,
            r#"{"verb":"unload","idle":true,"all":true}"#,
            "{}",
            "[]",
            &long,
        ] {
            assert!(wish(text).is_err(), "{text}");
        }
    }
}
