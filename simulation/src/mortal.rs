//! A process, as a task that can die: at an await point, or at a change to the disk.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use webex_tokens::store::{Seam, with_seam};

/// When a process dies, and whether it has.
#[derive(Debug, Default)]
pub struct Fate {
    is_dead: Cell<bool>,
    /// It dies when it is to go on for this many times more.
    steps_left: Cell<Option<u32>>,
    /// It dies at this change to the disk: half of them before it, half after.
    changes_left: Cell<Option<u32>>,
}

impl Fate {
    /// It lives to its end.
    #[must_use]
    pub fn natural() -> Rc<Self> {
        Rc::default()
    }

    /// It dies at the point of this number: each is one of its steps, or one of its changes.
    #[must_use]
    pub fn at(point: u32) -> Rc<Self> {
        let fate = Self::default();
        if point.is_multiple_of(2) {
            fate.steps_left.set(Some(point / 2));
        } else {
            fate.changes_left.set(Some(point / 2));
        }
        Rc::new(fate)
    }

    /// Whether it has died.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.is_dead.get()
    }

    /// It dies on the spot.
    pub fn die(&self) {
        self.is_dead.set(true);
    }

    /// Counts half a change; whether it lives on.
    pub(crate) fn goes_on(&self) -> bool {
        Self::count(&self.changes_left, || self.die());
        !self.is_dead()
    }

    fn steps_on(&self) -> bool {
        Self::count(&self.steps_left, || self.die());
        !self.is_dead()
    }

    fn count(left: &Cell<Option<u32>>, die: impl FnOnce()) {
        match left.get() {
            Some(0) => die(),
            Some(more) => left.set(Some(more - 1)),
            None => {}
        }
    }
}

/// A process: what it does, until its fate has it die.
pub struct Mortal<F> {
    work: Option<Pin<Box<F>>>,
    fate: Rc<Fate>,
    seam: Rc<dyn Seam>,
}

impl<F: Future> Mortal<F> {
    /// A process with a disk of its own to die at.
    pub fn new(fate: &Rc<Fate>, seam: Rc<dyn Seam>, work: F) -> Self {
        Self {
            work: Some(Box::pin(work)),
            fate: Rc::clone(fate),
            seam,
        }
    }
}

impl<F> Mortal<F> {
    /// Lets go of everything as the system does of a dead process's: nothing is tidied up.
    fn bury(&mut self) {
        self.fate.die();
        let work = self.work.take();
        with_seam(&self.seam, || drop(work));
    }
}

impl<F: Future> Future for Mortal<F> {
    /// `None` of one that has died.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.fate.steps_on() {
            this.bury();
        }
        let Some(work) = &mut this.work else {
            return Poll::Ready(None);
        };
        let polled = with_seam(&this.seam, || work.as_mut().poll(context));
        match polled {
            _ if this.fate.is_dead() => {
                this.bury();
                Poll::Ready(None)
            }
            Poll::Ready(done) => {
                let work = this.work.take();
                with_seam(&this.seam, || drop(work));
                Poll::Ready(Some(done))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<F> Drop for Mortal<F> {
    fn drop(&mut self) {
        if self.work.is_some() {
            self.bury();
        }
    }
}
