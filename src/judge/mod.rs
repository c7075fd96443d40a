//! Who may be released: from two looks, the past and the operator's wish to candidates and refusals, as values.
//!
//! [`gates`] is rule 2, for the whole run; [`choose`] turns a wish, which [`only`] may narrow, into handles and addresses,
//! and tells what the second look has to read again ([`named`]: what nothing is called, [`by_hand`]: what no release takes, [`files`]:
//! what none takes that reads Kubernetes from files); [`leak`] judges each of them
//! once by a [`case::Case`], with [`facts`] about its addresses and [`nodes`] ([`off`]: those that the operator says are
//! off) and the `sandboxes` that must be gone; [`last_look`] is what Kubernetes must say once more right before a write;
//! [`undo`] is the state of things around a release that is put back, [`advised`], [`ages`] and [`refused`] what an audit may say of
//! releases; `watched` is what audits watch of an allocation. The proofs are the checks' own
//! (IPA110, IPA201), the rules those of `plan`: nothing here decides anew what a leak is. What audits have observed is
//! asked of [`case::Observed`], which the edge fills.

pub mod advised;
pub mod ages;
pub mod by_hand;
pub mod case;
pub mod choose;
pub mod facts;
pub mod files;
pub mod gates;
pub mod last_look;
pub mod leak;
pub mod named;
pub mod nodes;
pub mod off;
pub mod only;
pub mod refused;
mod sandboxes;
#[cfg(test)]
mod shape;
#[cfg(test)]
mod testing;
pub mod undo;
mod watched;
