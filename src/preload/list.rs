//! A list with room for a fixed number of items, which is not cleared first: each allocation of a
//! new kind fills some.

use core::mem::MaybeUninit;

/// Invariant: the first `len` items were written.
#[derive(Debug)]
pub(crate) struct List<T, const ROOM: usize> {
    items: [MaybeUninit<T>; ROOM],
    len: usize,
}

impl<T: Copy, const ROOM: usize> List<T, ROOM> {
    pub(crate) const fn empty() -> Self {
        Self { items: [const { MaybeUninit::uninit() }; ROOM], len: 0 }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// `None` where it is full.
    #[inline(always)]
    pub(crate) fn push(&mut self, item: T) -> Option<()> {
        self.items.get_mut(self.len)?.write(item);
        self.len = self.len.wrapping_add(1);
        Some(())
    }

    #[inline(always)]
    pub(crate) fn items(&self) -> &[T] {
        let written = self.items.get(..self.len).unwrap_or_default();
        // SAFETY: the type's invariant.
        unsafe { &*(core::ptr::from_ref(written) as *const [T]) }
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    #[test]
    fn it_holds_what_it_has_room_for() {
        let mut list = List::<u32, 2>::empty();
        assert_eq!((list.items(), list.len()), (&[][..], 0));
        assert_eq!([7, 8, 9].map(|item| list.push(item)), [Some(()), Some(()), None]);
        assert_eq!((list.items(), list.len()), (&[7, 8][..], 2));
        list.clear();
        assert_eq!(list.push(5), Some(()));
        assert_eq!(list.items(), [5]);
    }
}
