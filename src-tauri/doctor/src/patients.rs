//! All patients by target. Each lies on its own: in the nodes of the tree itself, of which half are
//! empty, a thousand containers took as much room again.

use std::collections::BTreeMap;
use std::ops::RangeFrom;

use crate::patient::Patient;
use crate::target::TargetId;

#[derive(Default)]
pub(crate) struct Patients {
    by_target: BTreeMap<TargetId, Box<Patient>>,
}

impl Patients {
    pub(crate) fn get(&self, id: &TargetId) -> Option<&Patient> {
        self.by_target.get(id).map(AsRef::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: &TargetId) -> Option<&mut Patient> {
        self.by_target.get_mut(id).map(AsMut::as_mut)
    }

    pub(crate) fn contains_key(&self, id: &TargetId) -> bool {
        self.by_target.contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_target.len()
    }

    pub(crate) fn insert(&mut self, id: TargetId, patient: Patient) {
        self.by_target.insert(id, Box::new(patient));
    }

    pub(crate) fn remove(&mut self, id: &TargetId) -> Option<Patient> {
        self.by_target.remove(id).map(|patient| *patient)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &TargetId> {
        self.by_target.keys()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Patient> {
        self.by_target.values().map(AsRef::as_ref)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Patient> {
        self.by_target.values_mut().map(AsMut::as_mut)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TargetId, &Patient)> {
        self.by_target.iter().map(|(id, patient)| (id, patient.as_ref()))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&TargetId, &mut Patient)> {
        self.by_target.iter_mut().map(|(id, patient)| (id, patient.as_mut()))
    }

    pub(crate) fn range(
        &self,
        from: RangeFrom<TargetId>,
    ) -> impl Iterator<Item = (&TargetId, &Patient)> {
        self.by_target.range(from).map(|(id, patient)| (id, patient.as_ref()))
    }
}
