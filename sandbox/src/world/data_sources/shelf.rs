//! The data sources of an organization: listed in the order of their registration, found by id
//! without looking at any other.

use std::collections::{BTreeMap, HashMap};

use super::DataSource;

/// Every data source, each at a place that is given once and never moves.
#[derive(Default)]
pub(in crate::world) struct Shelf {
    by_place: BTreeMap<u64, DataSource>,
    places: HashMap<String, u64>,
    next: u64,
}

impl Shelf {
    /// Puts a data source at the end and returns its place.
    pub(super) fn push(&mut self, source: DataSource) -> u64 {
        let place = self.next;
        self.next += 1;
        self.places.insert(source.id.clone(), place);
        self.by_place.insert(place, source);
        place
    }

    /// The place of a data source.
    pub(super) fn find(&self, id: &str) -> Option<u64> {
        self.places.get(id).copied()
    }

    /// What is at a place that [`Shelf::find`] or [`Shelf::page`] has just named.
    pub(super) fn at(&mut self, place: u64) -> &mut DataSource {
        self.get(place)
            .expect("a place that was just found is taken")
    }

    /// What is at a place that was named before.
    pub(super) fn get(&mut self, place: u64) -> Option<&mut DataSource> {
        self.by_place.get_mut(&place)
    }

    /// Takes a data source away. False if there is none.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let place = self.places.remove(id);
        place.is_some_and(|place| self.by_place.remove(&place).is_some())
    }

    /// At most `size` places from `first` on, and where the next page begins.
    pub(super) fn page(&self, first: u64, size: usize) -> (Vec<u64>, Option<u64>) {
        let mut places = self.by_place.range(first..).map(|(&place, _)| place);
        let page = places.by_ref().take(size).collect();
        (page, places.next())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// Each with its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &DataSource)> {
        self.by_place.iter().map(|(&place, source)| (place, source))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut DataSource> {
        self.by_place.values_mut()
    }
}
