//! Which finding, or which code, is told first where one stands for all.

use std::cmp::Reverse;

use super::find;
use crate::model::{Code, Severity};

/// What is told first where one finding, or one code, stands for all: the least is the worst. As bad by their severity, what
/// hurts now comes before what only wastes; lists keep theirs.
pub fn worst_first(severity: Severity, code: Code) -> impl Ord + Copy {
    (Reverse(severity), Reverse(find(code).map(|check| check.ties.harm)), code)
}
