//! Pages that relatives share copy-on-write: only fork shares anonymous pages, so a process must hold what its
//! descendants share when they are cloned. The plan says what each process maps and reads before it has children, and
//! what it then has inherited. It is a matter of memory use alone: the memory stage makes every page right, whatever
//! was inherited.

use super::classes::{Area, Known};
use super::crew::Program;
use super::load::Images;
use super::memory::{Piece, Reader};
use super::moves::{self, Settled};
use super::needs::{Need, Numbers};
use super::seed::Layout;
use super::spans::{Span, Spans};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// What a process has before its own memory is built.
#[derive(Debug, Default)]
pub struct State {
    /// Private areas.
    pub areas: Spans<Area>,
    /// The pages that were read into them: whose page it is, as in [`Known::classes`].
    pub holds: Spans<u32>,
    /// What was mapped in one piece: a number for each, its upper half that of the process that mapped it.
    pub mapped: Spans<u64>,
    /// Where it was moved to.
    pub moved: Spans<()>,
}

/// Where in the number of a mapping that of its process begins.
const MAKER: u32 = 32;

impl State {
    /// Whether the kernel makes one area of what is in a range: it joins neither what was moved to others nor what
    /// a process was born with to what it mapped itself.
    pub fn joins(&self, start: u64, end: u64) -> bool {
        let mut makers = self.mapped.over(start, end).map(|piece| piece.value >> MAKER);
        let first = makers.next();
        let together = makers.all(|maker| Some(maker) == first) && self.moved.over(start, end).next().is_none();
        together || self.in_one_piece(start, end).is_some()
    }

    /// The area of a range that mremap(2) takes: it was mapped at once, and as it is writable it has not fallen into pieces
    /// when it was filled.
    pub fn in_one_piece(&self, start: u64, end: u64) -> Option<Area> {
        self.mapped.at(start).filter(|piece| piece.end >= end)?;
        let area = self.areas.at(start).filter(|area| area.end >= end)?.value;
        (area.prot & libc::PROT_WRITE as u32 != 0).then_some(area)
    }
}

/// What a process does before it clones its children.
#[derive(Debug, Default)]
struct Prefill {
    unmap: Vec<(u64, u64)>,
    map: Spans<Area>,
    read: Spans<u32>,
}

/// See the module. Processes go by their place in the images.
pub struct Plan {
    known: Known,
    states: Vec<Rc<State>>,
    prefills: Vec<Option<Prefill>>,
}

impl Plan {
    /// Finds the pages that are shared and decides who holds them.
    ///
    /// # Errors
    /// Images that contradict themselves or cannot be read.
    pub fn make(images: &Images) -> Result<Plan> {
        let known = Known::find(images)?;
        let changes = vote(&known);
        let mut plan = Plan { known, states: Vec::new(), prefills: Vec::new() };
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); changes.len()];
        for (i, parent) in plan.known.parents.iter().enumerate() {
            children[parent.unwrap_or(i)].push(i);
        }
        let nothing = Rc::new(State::default());
        for (i, changes) in changes.iter().enumerate() {
            let inherited = plan.known.parents[i].map_or(&nothing, |parent| &plan.states[parent]).clone();
            if changes.is_empty() {
                plan.states.push(inherited);
                plan.prefills.push(None);
                continue;
            }
            let (state, prefill) = plan.prepare(i, &children[i], &inherited, changes);
            plan.states.push(Rc::new(state));
            plan.prefills.push(Some(prefill));
        }
        Ok(plan)
    }

    /// What a process has once its children are there, and whose page each of its shared pages is.
    pub fn at_birth(&self, i: usize) -> (&State, &Spans<u32>) {
        (&self.states[i], &self.known.classes[i])
    }

    /// The same after the process has moved areas. `None` where it moved none.
    pub fn settled(&self, i: usize) -> Option<Settled> {
        let (moves, areas) = (&self.known.moves[i], &self.known.areas[i]);
        let (state, classes) = self.at_birth(i);
        (!moves.is_empty()).then(|| moves::settle(moves, state, areas, classes))
    }

    /// Makes room for the pages that a process is to hold in addition to what it inherits.
    fn prepare(&self, i: usize, children: &[usize], inherited: &State, changes: &Spans<u32>) -> (State, Prefill) {
        let mut areas = inherited.areas.clone();
        let mut gone = Spans::default();
        for change in changes.iter() {
            let mut at = change.start;
            while let Some(wanted) = self.known.areas[change.value as usize].at(at).filter(|_| at < change.end) {
                let end = wanted.end.min(change.end);
                let own = self.known.areas[i].at(at).filter(|own| own.value.fits(&wanted.value));
                let ready = areas.at(at).filter(|have| have.end >= end && have.value.fits(&wanted.value));
                if ready.is_none() {
                    let relatives = children.iter().filter_map(|&c| self.known.areas[c].at(at));
                    let alike = relatives.chain(own).filter(|a| a.value.fits(&wanted.value));
                    let range = alike.fold((wanted.start, wanted.end), |r, a| (r.0.min(a.start), r.1.max(a.end)));
                    let area = own.map_or(wanted.value, |own| own.value);
                    let mut alien = Spans::default();
                    for have in areas.over(at, end).filter(|have| !have.value.fits(&area)) {
                        alien.push(have.start, have.end, ());
                        gone.push(have.start, have.end, ());
                    }
                    areas = areas.without(&alien);
                    areas = areas.covered_by(&above(&areas, range, area));
                }
                at = end;
            }
        }
        let map = areas.without(&inherited.areas.without(&gone));
        let holds = inherited.holds.without(&gone).covered_by(changes);
        let number =
            |(n, s): (usize, Span<Area>)| Span { start: s.start, end: s.end, value: (i as u64) << MAKER | n as u64 };
        let new = map.iter().enumerate().map(number);
        let mapped = Spans::from_unsorted(inherited.mapped.without(&gone).iter().chain(new).collect());
        let unmap = gone.iter().map(|s| (s.start, s.end)).collect();
        (State { areas, holds, mapped, ..State::default() }, Prefill { unmap, map, read: changes.clone() })
    }

    /// What a process runs before it clones its children, if anything.
    ///
    /// # Errors
    /// Pages that the images lack.
    pub fn program(&self, i: usize, layout: &Layout, images: &Images, numbers: &Numbers) -> Result<Option<Program>> {
        let Some(prefill) = &self.prefills[i] else { return Ok(None) };
        let mut program = Program::new(layout);
        for (start, end) in &prefill.unmap {
            program.call(libc::SYS_munmap, &[*start, end - start]);
        }
        for Span { start, end, value: area } in prefill.map.iter() {
            super::memory::map_area(&mut program, start, end, &area, numbers);
        }
        let mut reader = Reader::default();
        for read in prefill.read.iter() {
            let source = read.value as usize;
            let live = images.tasks[source].live.as_ref().ok_or_else(|| Error::state("a zombie has no pages"))?;
            let file = numbers[&Need::Pages(live.pages.pages_id)];
            for area in self.states[i].areas.over(read.start, read.end) {
                for saved in self.known.saved[source].over(area.start, area.end) {
                    let (at, len) = (saved.start, saved.end - saved.start);
                    let piece = Piece { at, len, offset: at.wrapping_add(saved.value), prot: area.value.prot };
                    reader.read(&mut program, file, &piece);
                }
            }
        }
        reader.flush(&mut program);
        Ok(Some(program))
    }
}

/// An area, where no other is yet.
fn above(areas: &Spans<Area>, range: (u64, u64), area: Area) -> Spans<Area> {
    let free = areas.gaps(range.0, range.1).into_iter();
    Spans::from_unsorted(free.map(|(start, end)| Span { start, end, value: area }).collect())
}

/// A process and whose page it has or is to hold.
type TaskPage = (u32, u32);

/// For each process the pages that it has to hold for its children and does not inherit.
fn vote(known: &Known) -> Vec<Spans<u32>> {
    let mut changes = vec![Spans::default(); known.classes.len()];
    // At each address where something changes, the processes that begin or end to have a shared page.
    let mut events: Vec<(u64, u32, Option<u32>)> = Vec::new();
    for (i, classes) in known.classes.iter().enumerate() {
        for span in classes.iter() {
            events.push((span.start, i as u32, Some(span.value)));
            events.push((span.end, i as u32, None));
        }
    }
    // A span that ends where the next begins: the end comes first.
    events.sort_unstable();
    let mut active: BTreeMap<u32, u32> = BTreeMap::new();
    let mut decisions: HashMap<Vec<TaskPage>, Rc<Vec<TaskPage>>> = HashMap::new();
    for (n, &(at, task, class)) in events.iter().enumerate() {
        match class {
            Some(class) => drop(active.insert(task, class)),
            None => drop(active.remove(&task)),
        }
        let Some(&(next, ..)) = events.get(n + 1).filter(|next| next.0 > at) else { continue };
        let key: Vec<TaskPage> = active.iter().map(|(t, c)| (*t, *c)).collect();
        let decision = decisions.entry(key).or_insert_with_key(|key| Rc::new(decide(key, &known.parents)));
        for &(task, class) in decision.iter() {
            changes[task as usize].push(at, next, class);
        }
    }
    changes
}

/// Decides for one page. `members` are the processes that share it and whose page theirs is, ascending. Returns who
/// has to hold which page beyond what is inherited: the one that most of its descendants, and it itself, share.
fn decide(members: &[TaskPage], parents: &[Option<usize>]) -> Vec<TaskPage> {
    // For each process above a member: the pages that it and its descendants have, and how many of them.
    let mut below: BTreeMap<u32, BTreeMap<u32, u32>> = BTreeMap::new();
    for &(member, class) in members {
        let mut at = Some(member as usize);
        while let Some(task) = at {
            *below.entry(task as u32).or_default().entry(class).or_default() += 1;
            at = parents[task];
        }
    }
    let mut holds: HashMap<u32, Option<u32>> = HashMap::new();
    let mut changes = Vec::new();
    // Parents come before their children.
    for (&task, counts) in &below {
        let inherited = parents[task as usize].and_then(|p| holds.get(&(p as u32)).copied().flatten());
        let own = members.binary_search_by_key(&task, |m| m.0).ok().map(|n| members[n].1);
        let gain = |class: u32, count: u32| count - u32::from(inherited != Some(class));
        let useful =
            counts.iter().filter(|&(&class, &count)| count > u32::from(own == Some(class)) && gain(class, count) > 0);
        let best = useful.max_by_key(|&(&class, &count)| {
            (gain(class, count), inherited == Some(class), own == Some(class), std::cmp::Reverse(class))
        });
        let hold = best.map(|(class, _)| *class).or(inherited);
        holds.insert(task, hold);
        if hold != inherited
            && let Some(class) = hold
        {
            changes.push((task, class));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_what_its_child_shares() {
        assert_eq!(decide(&[(0, 0), (1, 0)], &[None, Some(0)]), [(0, 0)]);
    }

    #[test]
    fn a_process_between_passes_a_page_on() {
        assert_eq!(decide(&[(0, 0), (2, 0)], &[None, Some(0), Some(1)]), [(0, 0)]);
    }

    #[test]
    fn children_of_a_dead_parent_share_by_their_grandparent() {
        // 1 and 2 share a page that 0, with one of its own, never had.
        assert_eq!(decide(&[(1, 1), (2, 1)], &[None, Some(0), Some(0)]), [(0, 1)]);
        // 3 and 4, below 1, share one; 1 has that of 0 and 2.
        let parents = [None, Some(0), Some(0), Some(1), Some(1)];
        let members = [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3)];
        assert_eq!(decide(&members, &parents), [(0, 0), (1, 3)]);
    }

    #[test]
    fn two_pages_in_one_place_go_to_the_majority() {
        let parents = [None, Some(0), Some(0), Some(0), Some(0)];
        assert_eq!(decide(&[(0, 0), (1, 0), (2, 2), (3, 2), (4, 2)], &parents), [(0, 2)]);
    }
}
