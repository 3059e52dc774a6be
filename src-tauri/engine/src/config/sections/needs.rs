//! What targets need of one another: known once the whole file is read.

use std::collections::{BTreeMap, BTreeSet};

use doctor::{Spec, TargetId};

use super::super::error::nearest;
use super::super::reader::Field;

/// The keys `needs`, as they were found.
#[derive(Default)]
pub(super) struct Needs<'a> {
    found: Vec<(TargetId, Field<'a>)>,
}

impl<'a> Needs<'a> {
    pub(super) fn of(&mut self, id: TargetId, field: Option<Field<'a>>) {
        self.found.extend(field.map(|field| (id, field)));
    }

    /// Puts them into the roster; returns those that name a compose project.
    pub(super) fn settle(&self, roster: &mut [Spec]) -> BTreeMap<TargetId, Vec<String>> {
        let services: BTreeSet<String> = roster
            .iter()
            .filter(|spec| matches!(spec.id, TargetId::Service(_)))
            .map(|spec| spec.id.to_string())
            .collect();
        let mut projects: BTreeMap<TargetId, Vec<String>> = BTreeMap::new();
        for (id, field) in &self.found {
            let mut parents = Vec::new();
            for name in field.names().unwrap_or_default() {
                match name.split_once(':') {
                    Some(("project", project)) if !project.is_empty() => {
                        projects.entry(id.clone()).or_default().push(project.into());
                    }
                    _ => parents.extend(parent(id, field, &name, &services)),
                }
            }
            if let Some(spec) = roster.iter_mut().find(|spec| spec.id == *id) {
                spec.needs = parents;
            }
        }
        self.refuse_circles(roster);
        projects
    }

    /// In a circle each would wait for the other for ever.
    fn refuse_circles(&self, roster: &[Spec]) {
        let parents: BTreeMap<&TargetId, &[TargetId]> =
            roster.iter().map(|spec| (&spec.id, spec.needs.as_slice())).collect();
        for (id, field) in &self.found {
            let mut reached = BTreeSet::new();
            let mut next: Vec<&TargetId> =
                parents.get(id).copied().unwrap_or_default().iter().collect();
            while let Some(parent) = next.pop() {
                if reached.insert(parent) {
                    next.extend(parents.get(parent).copied().unwrap_or_default());
                }
            }
            if reached.contains(id) {
                field.error(format!("in the end {id} needs itself; break the circle"));
            }
        }
    }
}

fn parent(
    id: &TargetId,
    field: &Field<'_>,
    name: &str,
    services: &BTreeSet<String>,
) -> Option<TargetId> {
    let Ok(parent) = name.parse::<TargetId>() else {
        let known = ["ollama", "mlx", "docker", "host"];
        let meant = nearest(name, &known)
            .map(|meant| format!("; did you mean \"{meant}\"?"))
            .unwrap_or_default();
        field.error(format!(
            "\"{name}\" is not known; \"ollama\", \"mlx\", \"docker\", \"host\", \
             \"container:NAME\", \"service:NAME\" and \"project:NAME\" are allowed{meant}"
        ));
        return None;
    };
    if parent == *id {
        field.error(format!("{id} can't need itself"));
        return None;
    }
    // Containers come and go; services exist by this file alone.
    if matches!(parent, TargetId::Service(_)) && !services.contains(name) {
        let known: Vec<&str> = services.iter().map(String::as_str).collect();
        let meant = nearest(name, &known)
            .map(|meant| format!("; did you mean \"{meant}\"?"))
            .unwrap_or_default();
        field.error(format!("there is no [[service]] for \"{name}\"{meant}"));
        return None;
    }
    Some(parent)
}
