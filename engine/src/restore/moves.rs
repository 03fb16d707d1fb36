//! Areas that a process moved (mremap(2)) since the fork that it has their pages from: it is given them where the
//! relative has them that comes first in the images, and moves them as it once did. Here all that is known of a process
//! is brought to the addresses of its birth. What cannot be moved has copies of its pages: an area that two places of a process want
//! parts of (MREMAP_DONTUNMAP of a part), areas that swap places.

use super::classes::{Area, Known, Same};
use super::cow::State;
use super::load::{Images, LiveImage};
use super::spans::{Span, Spans};
use std::collections::BTreeMap;

/// A move of an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Where it is at birth.
    pub from: u64,
    /// Where it goes.
    pub to: u64,
    /// Bytes.
    pub len: u64,
}

/// Ranges of a process that are the same in an earlier one: which, and what to add to an address for the one there.
pub type Noted = Spans<(u32, u64)>;

/// Where the memory of a process was at its birth.
struct Birth {
    /// What was moved since: what to add to an address.
    shifts: Spans<u64>,
    /// Where it lay then. What is there now was not there.
    places: Spans<()>,
}

impl Known {
    /// Brings everything to addresses of birth.
    pub fn at_birth(&mut self, images: &Images, noted: Vec<Noted>) -> Vec<Same> {
        let mut births: Vec<Birth> = Vec::new();
        let mut same = Vec::new();
        for (i, noted) in noted.iter().enumerate() {
            let pieces = total(noted, &births);
            let moved = images.tasks[i].live.as_ref().map_or_else(Vec::new, |live| self.choose(live, &pieces));
            let gone = Spans::from_unsorted(moved.iter().map(|s| shifted(s, 0, ())).collect());
            let stay = pieces.without(&gone).iter().filter(|s| s.value.1 == 0).collect::<Vec<_>>();
            let mut of_birth: Same =
                stay.iter().map(|s| Span { start: s.start, end: s.end, value: s.value.0 }).collect();
            let places = Spans::from_unsorted(moved.iter().map(|s| shifted(s, s.value, ())).collect());
            if !moved.is_empty() {
                let (mut areas, mut saved) = (Vec::new(), Vec::new());
                for span in &moved {
                    let (start, end, by) = (span.start, span.end, span.value);
                    areas.extend(self.areas[i].over(start, end).map(|a| shifted(&a, by, a.value.moved(by))));
                    saved.extend(self.saved[i].over(start, end).map(|s| shifted(&s, by, s.value.wrapping_sub(by))));
                    let fitting = pieces.over(start, end).filter(|p| p.value.1 == by);
                    of_birth.extend(fitting.map(|p| shifted(&p, by, p.value.0)));
                    let from = start.wrapping_add(by);
                    self.moves[i].push(Move { from, to: start, len: end - start });
                }
                areas.extend(self.areas[i].without(&gone).without(&places).iter());
                saved.extend(self.saved[i].without(&gone).without(&places).iter());
                (self.areas[i], self.saved[i]) = (Spans::from_unsorted(areas), Spans::from_unsorted(saved));
            }
            births.push(Birth { shifts: Spans::from_unsorted(moved), places });
            same.push(of_birth);
        }
        same
    }

    /// The areas of a process that are to be moved, each with its shift: that of most of its shared pages.
    fn choose(&self, live: &LiveImage, pieces: &Noted) -> Vec<Span<u64>> {
        let mut chosen: Vec<Span<u64>> = Vec::new();
        if pieces.iter().all(|piece| piece.value.1 == 0) {
            return chosen;
        }
        let stays = |start, end| pieces.over(start, end).any(|piece| piece.value.1 == 0);
        for vma in &live.mm.vmas {
            let Some(area) = Area::of(vma).map(|value| Span { start: vma.start, end: vma.end, value }) else {
                continue;
            };
            let mut shared: BTreeMap<u64, (u64, u32)> = BTreeMap::new();
            for piece in pieces.over(area.start, area.end) {
                shared.entry(piece.value.1).or_insert((0, piece.value.0)).0 += piece.end - piece.start;
            }
            let most = shared.into_iter().max_by_key(|&(by, (bytes, _))| (bytes, by == 0));
            let Some((by, (_, elder))) = most.filter(|&(by, _)| by != 0) else { continue };
            let mut at = shifted(&area, by, area.value.moved(by));
            let there = self.areas[elder as usize].at(at.start);
            // It may have grown since.
            at.end = there.map_or(at.end, |there| there.end.min(at.end));
            let apart = |start, end| at.end <= start || end <= at.start;
            if there.is_some_and(|there| there.value.fits(&at.value))
                && apart(area.start, area.end)
                && !stays(at.start, at.end)
                && chosen.iter().all(|c| apart(c.start.wrapping_add(c.value), c.end.wrapping_add(c.value)))
            {
                chosen.push(shifted(&at, by.wrapping_neg(), by));
            }
        }
        chosen
    }
}

/// What was noted, as shifts to where the elder has the page at its birth.
fn total(noted: &Noted, births: &[Birth]) -> Noted {
    let mut pieces = Vec::new();
    for Span { start, end, value: (elder, by) } in noted.iter() {
        let (from, to) = (start.wrapping_add(by), end.wrapping_add(by));
        let Some(birth) = births.get(elder as usize) else { continue };
        let mut parts = Spans::default();
        for (start, end) in birth.shifts.gaps(from, to) {
            parts.push(start, end, 0);
        }
        let stayed = parts.without(&birth.places);
        pieces.extend(birth.shifts.over(from, to).chain(stayed.iter()).map(|part| Span {
            start: part.start.wrapping_sub(by),
            end: part.end.wrapping_sub(by),
            value: (elder, by.wrapping_add(part.value)),
        }));
    }
    Spans::from_unsorted(pieces)
}

/// A span elsewhere.
fn shifted<T, U>(span: &Span<T>, by: u64, value: U) -> Span<U> {
    Span { start: span.start.wrapping_add(by), end: span.end.wrapping_add(by), value }
}

/// A process that has moved what it was born with.
pub struct Settled {
    /// How it did.
    pub moves: Vec<Move>,
    /// What it then has.
    pub state: State,
    /// Whose page each of its shared pages is, where it has them now.
    pub classes: Spans<u32>,
}

/// Lets a process move what it can of what it was born with.
pub fn settle(wanted: &[Move], state: &State, areas: &Spans<Area>, classes: &Spans<u32>) -> Settled {
    let from =
        Spans::from_unsorted(wanted.iter().map(|m| Span { start: m.from, end: m.from + m.len, value: () }).collect());
    let possible = |m: &&Move| {
        let end = m.from + m.len;
        let own = areas.at(m.from);
        state.in_one_piece(m.from, end).zip(own).is_some_and(|(area, own)| area.fits(&own.value))
            && state.holds.over(m.from, end).next().is_some()
            && from.over(m.to, m.to + m.len).next().is_none()
    };
    let moves: Vec<Move> = wanted.iter().filter(possible).copied().collect();
    let sources = moves.iter().map(|m| Span { start: m.from, end: m.from + m.len, value: () });
    let places: Vec<_> = moves.iter().map(|m| Span { start: m.to, end: m.to + m.len, value: () }).collect();
    let left = Spans::from_unsorted(sources.chain(places.iter().copied()).collect());
    let mut moved: Vec<_> = classes.without(&from).iter().collect();
    let mut areas: Vec<_> = state.areas.without(&left).iter().collect();
    let mut holds: Vec<_> = state.holds.without(&left).iter().collect();
    let mut mapped: Vec<_> = state.mapped.without(&left).iter().collect();
    for m in &moves {
        let (start, end, by) = (m.from, m.from + m.len, m.to.wrapping_sub(m.from));
        moved.extend(classes.over(start, end).map(|c| shifted(&c, by, c.value)));
        areas.extend(state.areas.over(start, end).map(|a| shifted(&a, by, a.value.moved(by))));
        holds.extend(state.holds.over(start, end).map(|h| shifted(&h, by, h.value)));
        mapped.extend(state.mapped.over(start, end).map(|p| shifted(&p, by, p.value)));
    }
    let state = State {
        areas: Spans::from_unsorted(areas),
        holds: Spans::from_unsorted(holds),
        mapped: Spans::from_unsorted(mapped),
        moved: Spans::from_unsorted(places),
    };
    Settled { moves, state, classes: Spans::from_unsorted(moved) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans<T: Copy + PartialEq>(list: &[(u64, u64, T)]) -> Spans<T> {
        Spans::from_unsorted(list.iter().map(|&(start, end, value)| Span { start, end, value }).collect())
    }

    #[test]
    fn what_lies_in_the_old_place_of_an_area_was_not_born_there() {
        // The elder was born with 20..30, moved it to 60..70 and has something else at 20..30 now.
        let elder = Birth { shifts: spans(&[(60, 70, 40u64.wrapping_neg())]), places: spans(&[(20, 30, ())]) };
        let noted = spans(&[(10, 40, (0, 0)), (60, 70, (0, 0)), (80, 90, (0, 20u64.wrapping_neg()))]);
        let born = spans(&[
            (10, 20, (0, 0)),
            (30, 40, (0, 0)),
            (60, 70, (0, 40u64.wrapping_neg())),
            (80, 90, (0, 60u64.wrapping_neg())),
        ]);
        assert_eq!(total(&noted, &[elder]), born);
    }

    #[test]
    fn areas_are_moved_that_are_in_one_piece_and_do_not_swap_places() {
        let area = Area { file: None, flags: 0, prot: libc::PROT_WRITE as u32, accounted: false, small: false };
        let areas = spans(&[(10, 20, area), (30, 40, area)]);
        let state = State {
            areas: areas.clone(),
            holds: spans(&[(10, 20, 0), (30, 40, 0)]),
            mapped: spans(&[(10, 20, 1), (30, 40, 2)]),
            moved: Spans::default(),
        };
        let classes = spans(&[(10, 20, 0), (30, 40, 0)]);
        let away = Move { from: 10, to: 50, len: 10 };
        let settled = settle(&[away, Move { from: 30, to: 15, len: 10 }], &state, &areas, &classes);
        assert_eq!(settled.moves, [away]);
        assert_eq!(settled.state.areas, spans(&[(30, 40, area), (50, 60, area)]));
        assert_eq!(settled.classes, spans(&[(50, 60, 0)]));
    }
}
