//! Incidents: opened, told as a story, closed.

use crate::cause::Cause;
use crate::clock::{Awake, millis};
use crate::doctor::Doctor;
use crate::incident::{Incident, IncidentState, StoryKind, StoryLine};
use crate::sentence::Sentence;
use crate::target::TargetId;

const STORY_LINES: usize = 200;

impl Doctor {
    /// A new incident, or news about the one that is open; trouble whose root is known belongs to
    /// the root's (R49).
    pub(crate) fn open_incident(&mut self, id: &TargetId, cause: Cause, since: Awake) {
        if self.root_of(id, cause.id).is_none() {
            self.blame_container(id, cause.id, since);
        }
        if let Some(root) = self.root_of(id, cause.id) {
            self.fold(id, &root);
            return;
        }
        let is_new = self.open_one(id).is_none();
        self.begin_incident(id, cause, since);
        if is_new {
            self.gather(id);
        }
    }

    /// What comes back after it was closed is a new one, with times of its own; the budget of the
    /// episode runs on (R47).
    pub(crate) fn begin_incident(&mut self, id: &TargetId, cause: Cause, since: Awake) {
        let now = self.now;
        let fresh = self.incident_id();
        let flapping = self.is_flapping(id);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let detected_after_ms = millis(now.awake.since(since));
        match &mut patient.incident {
            Some(open) if open.closed.is_none() => {
                if open.cause.id == cause.id {
                    open.cause = cause;
                    return;
                }
                open.cause = cause;
            }
            other => {
                *other = Some(Incident {
                    id: fresh,
                    target: id.clone(),
                    cause,
                    state: IncidentState::Open,
                    opened: now.wall,
                    closed: None,
                    detected_after_ms,
                    answering_after_ms: None,
                    recovered_after_ms: None,
                    attempts: 0,
                    affects: Vec::new(),
                    log: Vec::new(),
                    story: Vec::new(),
                });
                patient.opened = now.awake;
                if !flapping {
                    // What was told of an earlier one is not told of this one.
                    self.notices.close(id);
                }
                self.notices.opened(id, now.awake);
            }
        }
        let told = self.patients.get(id).and_then(|patient| patient.incident.as_ref());
        let lines: Vec<(StoryKind, Sentence)> = told
            .map(|incident| {
                let seen = incident.cause.evidence.iter();
                let seen = seen.map(|line| (StoryKind::Seen, line.clone()));
                let says = incident.cause.says.clone();
                let cause = Sentence {
                    key: format!("cause.{}.text", incident.cause.id),
                    values: says.values,
                };
                seen.chain([(StoryKind::Concluded, cause)]).collect()
            })
            .unwrap_or_default();
        for (kind, says) in lines {
            self.tell_story(id, kind, says);
        }
        self.keep_last_words(id);
        self.touch_incident(id);
    }

    /// What a container wrote last goes with its incident: by the time somebody reads it, it runs
    /// again, or is gone.
    pub(crate) fn keep_last_words(&mut self, id: &TargetId) {
        let Some(patient) = self.patients.get_mut(id) else { return };
        let Some(seen) = &patient.facts.container else { return };
        let Some(incident) = &mut patient.incident else { return };
        // What one that lives writes goes on and on; its first words here tell how it began.
        let goes_on = seen.log.silent_for_s.is_some() && !incident.log.is_empty();
        let known = seen.log.tail.is_empty() || seen.log.tail == incident.log;
        if incident.closed.is_some() || known || goes_on {
            return;
        }
        incident.log.clone_from(&seen.log.tail);
        self.touch_incident(id);
    }

    fn incident_id(&mut self) -> String {
        format!("i-{}", self.operation_id())
    }

    pub(crate) fn tell_story(&mut self, id: &TargetId, kind: StoryKind, says: Sentence) {
        let at = self.now.wall;
        let id = &self.teller(id);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let Some(incident) = &mut patient.incident else { return };
        if incident.closed.is_some() {
            return;
        }
        if incident.story.last().is_some_and(|last| last.says == says) {
            return;
        }
        if incident.story.len() < STORY_LINES {
            incident.story.push(StoryLine { at, kind, says });
        }
        self.touch_incident(id);
    }

    pub(crate) fn incident_state(
        &mut self,
        id: &TargetId,
        state: IncidentState,
        story: Option<&str>,
    ) {
        let id = &self.teller(id);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let Some(incident) = &mut patient.incident else { return };
        if incident.closed.is_some() {
            return;
        }
        incident.state = state;
        if let Some(key) = story {
            self.tell_story(id, StoryKind::Concluded, Sentence::new(key));
        }
        self.touch_incident(id);
    }

    pub(crate) fn bump_attempts(&mut self, id: &TargetId) {
        let id = &self.teller(id);
        if let Some(patient) = self.patients.get_mut(id)
            && let Some(incident) = &mut patient.incident
            && incident.closed.is_none()
        {
            incident.attempts += 1;
        }
        self.touch_incident(id);
    }

    pub(crate) fn close_incident(
        &mut self,
        id: &TargetId,
        state: IncidentState,
        story: Option<&str>,
    ) {
        if self.open_one(id).is_none() {
            if matches!(state, IncidentState::Verified | IncidentState::HealedItself) {
                self.tell_folded_end(id);
            }
            self.service_settled(id, state);
            return;
        }
        if let Some(key) = story {
            let kind = match state {
                IncidentState::Verified | IncidentState::HealedItself => StoryKind::Proven,
                IncidentState::Open
                | IncidentState::Healing
                | IncidentState::GivenUp
                | IncidentState::Closed => StoryKind::Seen,
            };
            self.tell_story(id, kind, Sentence::new(key));
        }
        let Some(incident) = self.shut_incident(id, state) else { return };
        self.tell_closed(id, &incident);
        self.unfold(&incident);
    }

    /// Only the record of it.
    pub(crate) fn shut_incident(
        &mut self,
        id: &TargetId,
        state: IncidentState,
    ) -> Option<Incident> {
        let now = self.now;
        let patient = self.patients.get_mut(id)?;
        let incident = patient.incident.as_mut()?;
        incident.state = state;
        incident.closed = Some(now.wall);
        if matches!(state, IncidentState::Verified | IncidentState::HealedItself) {
            incident.recovered_after_ms = Some(millis(now.awake.since(patient.opened)));
        }
        let incident = incident.clone();
        self.notices.settle(id);
        self.touch_incident(id);
        Some(incident)
    }

    pub(crate) fn open_one(&self, id: &TargetId) -> Option<Incident> {
        let incident = self.patients.get(id)?.incident.as_ref()?;
        incident.closed.is_none().then(|| incident.clone())
    }
}
