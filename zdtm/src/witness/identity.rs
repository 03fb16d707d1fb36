//! Labels for the identity of kernel objects: `pipe#1` is the first pipe seen, wherever it appears.

use crate::sys::{Kcmp, kcmp};
use nix::unistd::Pid;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The labels given so far.
#[derive(Default)]
pub struct Labels {
    named: BTreeMap<(String, String), usize>,
    objects: BTreeMap<i32, Objects>,
}

/// Kernel objects of one kind in kcmp's order.
#[derive(Default)]
struct Objects {
    sorted: Vec<((Pid, i32), usize)>,
}

impl Labels {
    /// The label of the object that `key` identifies among those of a kind: `pipe` and `4711` give `pipe#1`.
    pub fn name(&mut self, kind: &str, key: &str) -> String {
        let next = self.named.keys().filter(|(k, _)| k == kind).count() + 1;
        let number = *self.named.entry((kind.to_owned(), key.to_owned())).or_insert(next);
        format!("{kind}#{number}")
    }

    /// The number of a task's kernel object (the descriptor counts for [`Kcmp::File`] only); none where the kernel
    /// does not tell.
    pub fn object(&mut self, kind: Kcmp, pid: i32, fd: i32) -> Option<usize> {
        let new = (Pid::from_raw(pid), fd);
        let sorted = &mut self.objects.entry(kind as i32).or_default().sorted;
        let (mut low, mut high) = (0, sorted.len());
        while low < high {
            let middle = low.midpoint(high);
            let (old, number) = sorted[middle];
            match kcmp(kind, new, old).ok()? {
                Ordering::Equal => return Some(number),
                Ordering::Less => high = middle,
                Ordering::Greater => low = middle + 1,
            }
        }
        let number = sorted.len() + 1;
        sorted.insert(low, (new, number));
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn labels_follow_the_order_of_appearance() {
        let mut labels = Labels::default();
        assert_eq!(labels.name("pipe", "77"), "pipe#1");
        assert_eq!(labels.name("pipe", "5"), "pipe#2");
        assert_eq!(labels.name("inode", "5"), "inode#1");
        assert_eq!(labels.name("pipe", "77"), "pipe#1");
    }

    #[test]
    fn duplicates_are_one_description() {
        let a = File::open("/dev/null").unwrap();
        let (b, c) = (a.try_clone().unwrap(), File::open("/dev/null").unwrap());
        let mut labels = Labels::default();
        let me = std::process::id().cast_signed();
        let mut number = |f: &File| labels.object(Kcmp::File, me, f.as_raw_fd()).unwrap();
        let (a, b, c) = (number(&a), number(&b), number(&c));
        assert_eq!(a, b);
        assert_ne!(a, c);
    }
}
