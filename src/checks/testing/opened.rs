//! Things of a cluster under construction, opened to be changed.

/// A thing in its usual form, opened to be changed: what it is made of stands here, and goes back at the end.
pub struct Opened<'c, T, F: Clone + Into<T>> {
    place: &'c mut T,
    fields: F,
}

impl<'c, T, F: Clone + Into<T>> Opened<'c, T, F> {
    /// Opens it.
    pub fn of(place: &'c mut T, open: impl FnOnce(&T) -> F) -> Opened<'c, T, F> {
        let fields = open(place);
        Opened { place, fields }
    }
}

impl<T, F: Clone + Into<T>> std::ops::Deref for Opened<'_, T, F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.fields
    }
}

impl<T, F: Clone + Into<T>> std::ops::DerefMut for Opened<'_, T, F> {
    fn deref_mut(&mut self) -> &mut F {
        &mut self.fields
    }
}

impl<T, F: Clone + Into<T>> Drop for Opened<'_, T, F> {
    fn drop(&mut self) {
        *self.place = self.fields.clone().into();
    }
}
