//! Actors that take a step when they are told to: what they do reads as what Calico does, from top to bottom.
//!
//! Each actor is a thread that waits at every [`Pause::here`]; one of them moves at a time, so that a round is the same
//! whenever it is repeated.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Where an actor waits between two of its writes.
pub struct Pause {
    go: Receiver<()>,
    waits: Sender<()>,
}

impl Pause {
    pub fn here(&self) {
        if self.waits.send(()).is_err() || self.go.recv().is_err() {
            // The round is over, because it failed: end without another word.
            resume_unwind(Box::new("the round is over"));
        }
    }
}

/// What somebody does, and in how many steps.
pub struct Act {
    pub name: String,
    pub steps: usize,
    /// The handle that it is about.
    pub handle: String,
    pub run: Box<dyn FnOnce(&Pause) + Send>,
}

impl Act {
    pub fn new(name: String, steps: usize, handle: String, run: impl FnOnce(&Pause) + Send + 'static) -> Act {
        Act { name, steps, handle, run: Box::new(run) }
    }
}

struct Actor {
    name: String,
    go: Sender<()>,
    waits: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    /// When its next steps are due.
    due: VecDeque<usize>,
    /// When those were that it took.
    told: Vec<String>,
}

impl Actor {
    fn new(act: Act, due: Vec<usize>) -> Actor {
        let (go, told) = channel();
        let (waits, waiting) = channel();
        let pause = Pause { go: told, waits };
        let run = act.run;
        let thread = std::thread::spawn(move || {
            if pause.go.recv().is_ok() {
                run(&pause);
            }
        });
        Actor { name: act.name, go, waits: waiting, thread: Some(thread), due: due.into(), told: Vec::new() }
    }

    /// Takes one step; false: that was the last.
    fn step(&mut self) -> bool {
        let _ = self.go.send(());
        if self.waits.recv().is_ok() {
            return true;
        }
        if let Some(Err(cause)) = self.thread.take().map(JoinHandle::join) {
            resume_unwind(cause);
        }
        false
    }
}

/// Everybody who is on stage, in the order of their entrance, and what was done.
#[derive(Default)]
pub struct Play {
    actors: Mutex<Vec<Actor>>,
    told: Mutex<Vec<String>>,
    /// Why an actor could not go on; hooks must not panic, they run on others' threads.
    failed: Mutex<Option<String>>,
}

impl Play {
    /// The act's steps are due when these stages are reached.
    pub fn enter(&self, act: Act, due: Vec<usize>) {
        self.actors.lock().unwrap().push(Actor::new(act, due));
    }

    fn note(&self, text: String) {
        self.told.lock().unwrap().push(text);
    }

    /// All steps that are due.
    pub fn reach(&self, stage: usize) {
        self.go_on(&format!("{stage}"), |due| due.front().is_some_and(|at| *at <= stage));
    }

    /// All that is left.
    pub fn finish(&self) {
        self.go_on("end", |_| true);
    }

    fn go_on(&self, stage: &str, is_due: impl Fn(&VecDeque<usize>) -> bool) {
        let mut actors = self.actors.lock().unwrap();
        let mut at = 0;
        while at < actors.len() {
            let actor = &mut actors[at];
            let mut lives = true;
            while lives && is_due(&actor.due) {
                actor.due.pop_front();
                let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| actor.step()));
                lives = step.unwrap_or_else(|_| {
                    self.failed.lock().unwrap().get_or_insert(format!("{} broke off", actor.name));
                    false
                });
                actor.told.push(if lives { stage.to_owned() } else { format!("{stage} (done)") });
                if !lives {
                    self.note(format!("{}: steps at {}", actor.name, actor.told.join(" ")));
                }
            }
            match lives {
                true => at += 1,
                false => drop(actors.remove(at)),
            }
        }
    }

    /// What was done, for a failure; panics when an actor could not go on.
    #[track_caller]
    pub fn story(&self) -> String {
        let story = self.told.lock().unwrap().join("\n");
        if let Some(why) = &*self.failed.lock().unwrap() {
            panic!("{why}\n{story}");
        }
        story
    }
}
