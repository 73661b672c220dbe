//! What holds a group's blocks, and what they lead to, in words for people.
//!
//! Nothing is said that is not known: where there is no name, the text says less.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use super::tracebacks::Tracebacks;
use super::{one, state};
use crate::child::ledger_file::{LedgerError, LedgerFile, Live};
use crate::child::memory::places::{Owner, Place};
use crate::child::view::{Chain, Reached};
use crate::report::{Group, Reachability};
use crate::symbols::data::{Among, DataNames, Image};
use crate::traceback;
use crate::verdict::Total;

/// The most links of a chain that are all written.
const WHOLE: usize = 4;
/// Of a longer one: how many beside the root, and how many beside the block.
const ENDS: (usize, usize) = (2, 1);

/// What each group's lost blocks lead to: indirect blocks of other groups. `group_of` says by a
/// number which group a block of `live` counts for; one that counts for none is not led to.
pub(super) fn led_to(
    live: &[Live],
    reached: Option<&Reached>,
    group_of: impl Fn(usize) -> Option<usize>,
) -> HashMap<usize, Total> {
    let mut totals: HashMap<usize, Total> = HashMap::new();
    let Some(reached) = reached else { return totals };
    for (at, block) in live.iter().enumerate().filter(|(_, block)| !block.is_paused()) {
        if let Some(owner) = reached.owner(at)
            && let Some(own) = group_of(at)
            && let Some(group) = group_of(owner)
            && own != group
        {
            *totals.entry(group).or_default() += one(block);
        }
    }
    totals
}

/// The groups whose lost blocks lead to each group's indirect ones: none for a group where that is
/// not known of each block. `number_of` says by a number which group a block of `live` is in.
pub(super) fn behind(
    live: &[Live],
    reached: Option<&Reached>,
    number_of: impl Fn(usize) -> Option<usize>,
) -> HashMap<usize, Vec<usize>> {
    let mut all: HashMap<usize, Option<BTreeSet<usize>>> = HashMap::new();
    let Some(reached) = reached else { return HashMap::new() };
    for at in (0..live.len()).filter(|at| reached.state(*at) == Reachability::Indirect) {
        let Some(number) = number_of(at) else { continue };
        let owners = all.entry(number).or_insert_with(|| Some(BTreeSet::new()));
        match (reached.owner(at).and_then(&number_of), owners.as_mut()) {
            (Some(owner), Some(owners)) => _ = owners.insert(owner),
            _ => *owners = None,
        }
    }
    let known = |(number, owners): (usize, Option<BTreeSet<usize>>)| {
        (number, owners.into_iter().flatten().collect())
    };
    all.into_iter().map(known).collect()
}

/// Of each of some groups the block whose chain is told.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The group's place, and the chain.
    chains: Vec<(usize, Chain)>,
}

impl Held {
    /// The group at `place`, which is reachable, is told of by the nearest of `blocks`.
    pub(super) fn add(
        &mut self,
        place: usize,
        reached: Option<&Reached>,
        blocks: impl Iterator<Item = usize>,
    ) {
        let Some(reached) = reached else { return };
        let reachable = blocks.filter(|at| state(Some(reached), *at) == Reachability::Reachable);
        let chain = reached.nearest(reachable).and_then(|block| reached.chain(block));
        self.chains.extend(chain.map(|chain| (place, chain)));
    }

    /// Writes what holds each of `groups`, whose blocks are of `live`.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(super) fn write(
        self,
        groups: &mut [(usize, Group)],
        live: &[Live],
        ledger: &LedgerFile,
        tracebacks: &mut Tracebacks<'_>,
    ) -> Result<(), LedgerError> {
        if self.chains.is_empty() {
            return Ok(());
        }
        let shown = |chain: &Chain| cut(&chain.between).0.iter().map(|link| link.0).collect();
        let blocks = self.chains.iter().flat_map(|(_, chain)| -> Vec<usize> { shown(chain) });
        let blocks: Vec<&Live> =
            blocks.map(|block| &live[block]).filter(|block| !block.is_paused()).collect();
        let sites: Vec<u32> = blocks.iter().map(|block| block.entry.site).collect();
        let found = tracebacks.of(&sites)?;
        let names = sites.into_iter().zip(found.iter().map(|it| tracebacks.innermost(it)));
        let names: HashMap<u32, Option<String>> = names.collect();
        let mut data = DataNames::new(&ledger.modules()?);
        for (place, chain) in self.chains {
            let mut text = place_text(&chain.root, &mut data);
            let (links, left_out) = cut(&chain.between);
            for (index, (block, offset)) in links.iter().enumerate() {
                if left_out > 0 && index == ENDS.0 {
                    // Writing to a String can't fail.
                    let _ = write!(text, " -> … {left_out} more …");
                }
                let block = &live[*block];
                text += " -> ";
                text += &block_text(block, names.get(&block.entry.site).and_then(Option::as_deref));
                if let Some(offset) = offset {
                    let _ = write!(text, " [+{offset:#x}]");
                }
            }
            groups[place].1.ties.held_by = Some(text.into());
        }
        Ok(())
    }
}

/// The links that are written, and how many are left out behind the first of them.
fn cut<T: Copy>(links: &[T]) -> (Vec<T>, usize) {
    if links.len() <= WHOLE {
        return (links.to_vec(), 0);
    }
    let (first, last) = (&links[..ENDS.0], &links[links.len() - ENDS.1..]);
    ([first, last].concat(), links.len() - ENDS.0 - ENDS.1)
}

fn block_text(block: &Live, name: Option<&str>) -> String {
    let size = block.entry.size;
    let bytes = if size == 1 { "byte" } else { "bytes" };
    match name {
        Some(name) => format!("{size} {bytes} from {name}"),
        None if block.is_paused() => format!("{size} {bytes} allocated in a pause"),
        None => format!("{size} {bytes}"),
    }
}

fn place_text(place: &Place, data: &mut DataNames) -> String {
    match place {
        Place::Data(image, address) => data_text(image, *address, data),
        Place::ThreadLocal(image, offset, owner) => {
            let module = data.module(image);
            match data.variable(image, Among::ThreadLocals, *offset) {
                Some(name) => format!("thread-local {name} in {module}, of {}", owner_text(owner)),
                None => format!("a thread-local of {module}, of {}", owner_text(owner)),
            }
        }
        Place::ThreadStorage(owner) => {
            format!("the thread-local storage of {}", owner_text(owner))
        }
        Place::Stack(owner) => format!("the stack of {}", owner_text(owner)),
        Place::StackOrStorage(owner) => {
            format!("the stack or the thread-local storage of {}", owner_text(owner))
        }
        Place::Register(owner) => format!("a register of {}", owner_text(owner)),
        Place::Epoll => "what an epoll instance watches, in the kernel".into(),
        Place::Timer => "a timer, in the kernel".into(),
        Place::Inherited => "a block that was there at the fork".into(),
        Place::Mapping(name) if name.is_empty() => "an anonymous mapping".into(),
        Place::Mapping(name) => format!("the mapping {name}"),
    }
}

fn data_text(image: &Image, address: u64, data: &mut DataNames) -> String {
    let module = data.module(image);
    if let Some(name) = data.variable(image, Among::Data, address) {
        return format!("{name} in {module}");
    }
    match data.section(image, address) {
        Some(section) => format!("{module}'s {section}"),
        None => format!("writable data of {module}+{address:#x}"),
    }
}

fn owner_text(owner: &Owner) -> String {
    match owner {
        Owner { is_main: true, .. } => "the main thread".into(),
        Owner { id, name, .. } if name.is_empty() => format!("thread {id}"),
        Owner { id, name, .. } => format!("thread {id} ({name})"),
    }
}

impl Tracebacks<'_> {
    /// What the innermost frame of a traceback is called.
    fn innermost(&self, traceback: &super::Traceback) -> Option<String> {
        let frame = self.frames(traceback).into_iter().next()?;
        let function = frame.function.as_ref().map(ToString::to_string);
        Some(function.unwrap_or_else(|| traceback::line(&frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::Entry;
    use crate::ledger::site::PAUSED;

    #[test]
    fn a_long_chain_is_cut() {
        let links: Vec<usize> = (0..10_000).collect();
        assert_eq!(cut(&links), (vec![0, 1, 9_999], 9_997));
        assert_eq!(cut(&links[..5]), (vec![0, 1, 4], 2));
        assert_eq!(cut(&links[..4]), (vec![0, 1, 2, 3], 0));
        assert_eq!(cut(&links[..0]), (vec![], 0));
    }

    #[test]
    fn places_that_have_no_names_are_described() {
        let owner = |id, name: &str, is_main| Owner { id, name: name.into(), is_main };
        let worker = owner(7, "worker", false);
        let image = Image { path: "/nowhere/plugin.so".into(), head: [].into() };
        let cases = [
            (Place::Data(image.clone(), 0x40), "writable data of plugin.so+0x40"),
            (
                Place::ThreadLocal(image, 8, worker.clone()),
                "a thread-local of plugin.so, of thread 7 (worker)",
            ),
            (Place::ThreadStorage(owner(7, "", false)), "the thread-local storage of thread 7"),
            (Place::Stack(owner(7, "app", true)), "the stack of the main thread"),
            (
                Place::StackOrStorage(worker.clone()),
                "the stack or the thread-local storage of thread 7 (worker)",
            ),
            (Place::Register(worker), "a register of thread 7 (worker)"),
            (Place::Epoll, "what an epoll instance watches, in the kernel"),
            (Place::Timer, "a timer, in the kernel"),
            (Place::Inherited, "a block that was there at the fork"),
            (Place::Mapping(String::new()), "an anonymous mapping"),
            (Place::Mapping("/dev/shm/pool".into()), "the mapping /dev/shm/pool"),
        ];
        for (place, expected) in cases {
            assert_eq!(place_text(&place, &mut DataNames::default()), expected);
        }
    }

    #[test]
    fn a_block_is_called_by_its_size_and_who_asked_for_it() {
        let block = |site, size| Live { address: 16, entry: Entry { site, epoch: 1, size } };
        assert_eq!(block_text(&block(3, 64), Some("append")), "64 bytes from append");
        assert_eq!(block_text(&block(3, 1), None), "1 byte");
        assert_eq!(block_text(&block(PAUSED, 8), None), "8 bytes allocated in a pause");
    }
}
