//! The queue of one module: requests that wait for a process, in order, and the count of requests that wait
//! for the work of a key and belong to no order yet. When something is sent is decided in
//! [`crate::dispatch`].

use crate::ids::RequestId;
use std::collections::VecDeque;

/// Requests that wait for one module, with the memory that they hold.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    order: VecDeque<(RequestId, usize)>,
    bytes: usize,
    keyed: usize,
    keyed_bytes: usize,
}

impl Queue {
    /// Requests that wait for a process.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Requests and bytes that count for the limits: those that wait for a process or for a key.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.order.len() + self.keyed, self.bytes + self.keyed_bytes)
    }

    pub(crate) fn front(&self) -> Option<RequestId> {
        self.order.front().map(|(id, _)| *id)
    }

    pub(crate) fn contains(&self, id: RequestId) -> bool {
        self.order.iter().any(|(queued, _)| *queued == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = RequestId> {
        self.order.iter().map(|(id, _)| *id)
    }

    pub(crate) fn push_back(&mut self, id: RequestId, bytes: usize) {
        self.order.push_back((id, bytes));
        self.bytes += bytes;
    }

    /// Puts a request before all others: it was sent before them, and its process ended.
    pub(crate) fn push_front(&mut self, id: RequestId, bytes: usize) {
        self.order.push_front((id, bytes));
        self.bytes += bytes;
    }

    pub(crate) fn pop_front(&mut self) -> Option<RequestId> {
        let (id, bytes) = self.order.pop_front()?;
        self.bytes -= bytes;
        Some(id)
    }

    /// Removes a request from the order, if it is there.
    pub(crate) fn remove(&mut self, id: RequestId) {
        if let Some((_, bytes)) =
            self.order.iter().position(|(queued, _)| *queued == id).and_then(|at| self.order.remove(at))
        {
            self.bytes -= bytes;
        }
    }

    /// Removes all requests from the order.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        self.bytes = 0;
        std::mem::take(&mut self.order).into_iter().map(|(id, _)| id)
    }

    /// Requests that wait for the work of a key.
    pub(crate) fn keyed(&self) -> usize {
        self.keyed
    }

    /// A request waits for the work of its key.
    pub(crate) fn add_keyed(&mut self, bytes: usize) {
        self.keyed += 1;
        self.keyed_bytes += bytes;
    }

    /// A request no longer waits for the work of its key.
    pub(crate) fn remove_keyed(&mut self, bytes: usize) {
        self.keyed -= 1;
        self.keyed_bytes -= bytes;
    }

    /// The bytes of the order, and the number and bytes of those that wait for a key. For tests.
    pub(crate) fn accounts(&self) -> (usize, usize, usize) {
        (self.bytes, self.keyed, self.keyed_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_what_is_in_the_queue_whatever_leaves_it_and_how() {
        let mut queue = Queue::default();
        for id in 1..=5 {
            queue.push_back(RequestId(id), 10 * id as usize);
        }
        queue.add_keyed(1000);
        assert_eq!(queue.load(), (6, 1150));
        assert_eq!(queue.pop_front(), Some(RequestId(1)));
        queue.remove(RequestId(3));
        queue.remove(RequestId(3));
        assert_eq!(queue.load(), (4, 1110));
        queue.push_front(RequestId(1), 10);
        assert_eq!(queue.iter().collect::<Vec<_>>(), [1, 2, 4, 5].map(RequestId));
        queue.remove_keyed(1000);
        assert_eq!(queue.drain().count(), 4);
        assert_eq!((queue.load(), queue.front(), queue.pop_front()), ((0, 0), None, None));
    }
}
