//! What of each input could be read, and why not.

use std::collections::BTreeMap;

use super::Foreign;
use super::input::Input;
use super::word::words;

/// How much of one input was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum InputState {
    Complete,
    /// Some of it was read; what is missing is not known.
    Partial,
    /// The server refused: a right is missing.
    Forbidden,
    Unreachable,
    /// Nobody asked for it: no Kubernetes was given, or a file holds no item of this kind.
    NotAsked,
}

words!(InputState {
    Complete = "complete",
    Partial = "partial",
    Forbidden = "forbidden",
    Unreachable = "unreachable",
    NotAsked = "not asked",
});

/// What was read of each input, with the reason where it is not complete.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    states: BTreeMap<Input, (InputState, Foreign)>,
    /// What a person can do about an input that is not complete.
    hints: BTreeMap<Input, Foreign>,
}

/// Why an input was not read, but for its own name: who refuses several for one reason names each.
pub fn reason(input: &Foreign, why: &Foreign) -> String {
    why.raw().replace(input.raw(), "")
}

impl Coverage {
    /// Sets the state of `input`; `detail` says why when it is not complete.
    pub fn set(&mut self, input: Input, state: InputState, detail: impl Into<Foreign>) {
        self.states.insert(input, (state, detail.into()));
        self.hints.remove(&input);
    }

    /// Says of `input` what the other one says of it.
    pub fn copy(&mut self, input: Input, other: &Coverage) {
        if let Some((state, detail)) = other.states.get(&input) {
            self.set(input, *state, detail.clone());
        }
    }

    /// Says what a person can do about `input`, whose state is set.
    pub fn set_hint(&mut self, input: Input, hint: impl Into<Foreign>) {
        self.hints.insert(input, hint.into());
    }

    /// What can be done about every input of which somebody has an idea.
    pub fn hints(&self) -> impl Iterator<Item = (Input, &Foreign)> {
        self.hints.iter().filter(|(input, _)| **input != Input::History).map(|(input, hint)| (*input, hint))
    }

    /// What to do about `input`; empty when nobody has an idea, and in captures that were made before these were kept.
    pub fn hint(&self, input: Input) -> Foreign {
        self.hints.get(&input).cloned().unwrap_or_default()
    }

    /// The state of `input`; what nobody set was not asked for.
    pub fn state(&self, input: Input) -> InputState {
        self.states.get(&input).map_or(InputState::NotAsked, |(state, _)| *state)
    }

    /// The reason given for `input`; empty when complete.
    pub fn detail(&self, input: Input) -> Foreign {
        self.states.get(&input).map(|(_, detail)| detail.clone()).unwrap_or_default()
    }

    /// Why `input` is not complete: the reason given, else its state.
    pub fn why(&self, input: Input) -> Foreign {
        self.detail(input).some().cloned().unwrap_or_else(|| self.state(input).word().into())
    }

    /// Whether nobody asked for `input`, and the audit is whole without it all the same.
    pub fn is_rightly_absent(&self, input: Input) -> bool {
        input.may_be_absent() && self.state(input) == InputState::NotAsked
    }

    /// Every input, in the order of [`Input::ALL`]; evidence of nodes only where somebody asked for it.
    pub fn told(&self) -> impl Iterator<Item = Input> {
        let is_told = |i: &Input| *i != Input::NodeEvidence || !self.is_rightly_absent(*i);
        Input::ALL.into_iter().filter(is_told)
    }

    /// Whether all of `input` was read.
    pub fn complete(&self, input: Input) -> bool {
        self.state(input) == InputState::Complete
    }
}
