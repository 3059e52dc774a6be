//! Restraint: what speaks against acting now, memory above all (R19, R58, R61).

use crate::cause::CauseId;
use crate::deciding::is_of_memory;
use crate::doctor::Doctor;
use crate::host::Strain;
use crate::patient::Patient;
use crate::target::TargetId;

impl Doctor {
    /// R58: killed for memory right after its start while what it needs is not well: its calls pile
    /// up against a dead server, and starting it again would only kill it again.
    pub(crate) fn dies_of_its_need(&self, patient: &Patient, cause: CauseId) -> Option<TargetId> {
        let seen = patient.facts.container.as_ref().filter(|_| is_of_memory(cause))?;
        let news = &patient.facts.container_news;
        let soon = news.lived_less_than(self.policy.oom_at_start, seen);
        soon.then(|| self.unwell_need(patient)).flatten()
    }

    /// R19: what holds most of the memory is not spared when memory is short.
    pub(crate) fn is_largest(&self, patient: &Patient) -> bool {
        let ledger = self
            .patients
            .get(&TargetId::Host)
            .and_then(|host| host.facts.host.as_ref())
            .and_then(|seen| seen.ledger.as_ref());
        let largest = ledger.and_then(|groups| groups.iter().max_by_key(|group| group.bytes));
        largest.is_some_and(|group| group.name.eq_ignore_ascii_case(patient.spec.id.kind()))
    }

    /// R61: restarted for a leak only when it has nothing to do and memory is short.
    pub(crate) fn may_end_leak(&self, patient: &Patient) -> bool {
        let idle = patient.facts.insight.is_idle(self.now.awake, &self.policy);
        idle && self.memory_is_short()
    }

    pub(crate) fn memory_is_short(&self) -> bool {
        self.patients
            .get(&TargetId::Host)
            .is_some_and(|host| host.facts.pressure.verdict > Strain::None)
    }

    pub(crate) fn memory_is_critical(&self) -> bool {
        self.patients
            .get(&TargetId::Host)
            .is_some_and(|host| host.facts.pressure.verdict == Strain::Critical)
    }
}
