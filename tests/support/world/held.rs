//! P12 as the world sees it: what a person stopped, and who may start it again.

use std::time::Duration;

use doctor::{Asker, Effect, Order, Step, TargetId, Wish};

use super::World;
use super::containers::Container;

impl World {
    /// Right after the engine's return nobody can tell two stops, or the last one's, from its
    /// clearing-up (R34).
    pub(super) fn held_in_the_clearing_up(&mut self) {
        let lately = Duration::from_millis(self.story_ms().saturating_sub(self.engine.since));
        let held = self.containers.values().filter(|one| one.held).count();
        let runs = self.containers.values().any(Container::is_running);
        if lately <= self.policy.engine_clears_up + Duration::from_millis(100)
            && (held > 1 || !runs)
        {
            self.containers.values_mut().for_each(|one| one.held = false);
        }
    }

    /// P12: nothing that a person stopped is started by the doctor of its own accord.
    pub(super) fn held_stay_down(&self, orders: &[Order]) {
        for order in orders {
            let Order::Treat(treatment) = order else { continue };
            let name = if let Step::StartContainer { id } = &treatment.what {
                self.name_of(id)
            } else if let Step::ComposeUp(compose) = &treatment.what {
                Some(compose.service.clone())
            } else {
                let starts = treatment.what.effect() == Effect::Starts;
                let known = !starts || matches!(treatment.what, Step::Start(_));
                assert!(known, "P12 misses {:?}", treatment.what);
                None
            };
            let held = name.as_ref().and_then(|name| self.containers.get(name));
            let held = held.is_some_and(|container| container.held);
            assert!(!held, "P12: {name:?} is started, and a person stopped it");
        }
    }

    /// A person's word about it, or about the service inside, ends a hold.
    pub(super) fn hold_ends(&mut self, wish: &Wish, by: Asker) {
        let named: &[TargetId] = match wish {
            Wish::Recover { targets } => targets,
            Wish::Restart { target } | Wish::Start { target } | Wish::Release { target } => {
                std::slice::from_ref(target)
            }
            // "Leave it alone for so long" says as well that it is wanted after that.
            Wish::Hold { target, within: Some(_) } => std::slice::from_ref(target),
            Wish::Stop { .. }
            | Wish::Hold { within: None, .. }
            | Wish::Unload(_)
            | Wish::Measure(_)
            | Wish::CancelMeasure
            | Wish::Ensure { .. }
            | Wish::VerifyModels { .. }
            | Wish::Repair { .. }
            | Wish::Raise { .. }
            | Wish::Cancel { .. }
            | Wish::CheckEverything => &[],
        };
        if by != Asker::Person {
            return;
        }
        for target in named {
            let name = match target {
                TargetId::Container(name) => Some(name.clone()),
                TargetId::Service(name) => {
                    self.services.get(name).and_then(|service| service.container.clone())
                }
                TargetId::Host | TargetId::Docker | TargetId::Ollama | TargetId::Mlx => None,
            };
            if let Some(container) = name.and_then(|name| self.containers.get_mut(&name)) {
                container.held = false;
            }
        }
    }
}
