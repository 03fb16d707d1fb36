//! Values on ranges of addresses, none of which overlap: what the planning of shared pages is made of.

/// A range of addresses with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<T> {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// The value.
    pub value: T,
}

/// Spans in ascending order, apart, those that touch and are equal joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans<T>(Vec<Span<T>>);

impl<T> Default for Spans<T> {
    fn default() -> Spans<T> {
        Spans(Vec::new())
    }
}

impl<T: Copy + PartialEq> Spans<T> {
    /// From spans in any order. Where some overlap, the one that begins first has the common part.
    pub fn from_unsorted(mut list: Vec<Span<T>>) -> Spans<T> {
        list.sort_by_key(|s| s.start);
        let mut spans = Spans::default();
        for span in list {
            spans.push(span.start, span.end, span.value);
        }
        spans
    }

    /// Adds a span behind all others. What overlaps the last one is cut off; an empty span is nothing.
    pub fn push(&mut self, start: u64, end: u64, value: T) {
        let start = self.0.last().map_or(start, |last| last.end.max(start));
        if start >= end {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.end == start && last.value == value => last.end = end,
            _ => self.0.push(Span { start, end, value }),
        }
    }

    /// All spans.
    pub fn iter(&self) -> impl Iterator<Item = Span<T>> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts of spans that lie in a range.
    pub fn over(&self, start: u64, end: u64) -> impl Iterator<Item = Span<T>> + '_ {
        let first = self.0.partition_point(|s| s.end <= start);
        let inside = self.0[first..].iter().take_while(move |s| s.start < end);
        inside.map(move |s| Span { start: s.start.max(start), end: s.end.min(end), value: s.value })
    }

    /// The span that an address lies in.
    pub fn at(&self, address: u64) -> Option<Span<T>> {
        let span = self.0.get(self.0.partition_point(|s| s.end <= address))?;
        (span.start <= address).then_some(*span)
    }

    /// The parts of a range that lie in no span.
    pub fn gaps(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut at = start;
        for span in self.over(start, end) {
            if at < span.start {
                gaps.push((at, span.start));
            }
            at = span.end;
        }
        if at < end {
            gaps.push((at, end));
        }
        gaps
    }

    /// These spans less the parts where others are, whatever their values.
    pub fn without<U: Copy + PartialEq>(&self, others: &Spans<U>) -> Spans<T> {
        let mut left = Spans::default();
        for span in self.iter() {
            for (start, end) in others.gaps(span.start, span.end) {
                left.push(start, end, span.value);
            }
        }
        left
    }

    /// These spans, covered by others where both are.
    pub fn covered_by(&self, above: &Spans<T>) -> Spans<T> {
        Spans::from_unsorted(self.without(above).iter().chain(above.iter()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(list: &[(u64, u64, u8)]) -> Spans<u8> {
        Spans::from_unsorted(list.iter().map(|&(start, end, value)| Span { start, end, value }).collect())
    }

    fn list(spans: &Spans<u8>) -> Vec<(u64, u64, u8)> {
        spans.iter().map(|s| (s.start, s.end, s.value)).collect()
    }

    #[test]
    fn equal_neighbours_are_joined_and_overlaps_cut() {
        let s = spans(&[(20, 30, 1), (0, 10, 1), (10, 20, 1), (25, 40, 2), (5, 8, 3)]);
        assert_eq!(list(&s), [(0, 30, 1), (30, 40, 2)]);
    }

    #[test]
    fn parts_and_gaps_of_a_range() {
        let s = spans(&[(10, 20, 1), (30, 40, 2)]);
        assert_eq!(list(&Spans(s.over(15, 35).collect())), [(15, 20, 1), (30, 35, 2)]);
        assert_eq!(s.gaps(5, 45), [(5, 10), (20, 30), (40, 45)]);
        assert_eq!(s.gaps(12, 18), []);
        assert_eq!(s.at(19).map(|s| s.value), Some(1));
        assert_eq!(s.at(20), None);
    }

    #[test]
    fn what_lies_above_hides_what_lies_below() {
        let below = spans(&[(0, 100, 1)]);
        let above = spans(&[(10, 20, 2), (90, 110, 3)]);
        assert_eq!(list(&below.covered_by(&above)), [(0, 10, 1), (10, 20, 2), (20, 90, 1), (90, 110, 3)]);
    }
}
