//! The walk from frame to frame.
//!
//! Known return addresses are followed by their rules, which need three registers; any other
//! frame by its row of the unwind table. A row that needs a register which rules don't follow
//! ends the walk without a result, and the caller starts again by rows alone: nothing is guessed.

use super::arch::{HANDLER_END, Rule};
use super::frame::{Fast, Frame, HandlerEnd, Step};
use super::frame_table::Function;
use super::row::Row;
use super::rule_cache::{self, Known};
use super::stack::Stack;

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The outermost frame was reached.
    Outermost,
    /// Frames further out are missing: `frame` wanted no more, or nobody knows them.
    Cut,
    /// The rest is known: `joins` said so.
    Joined,
}

/// Where unwind data comes from.
pub(crate) trait Code {
    /// Calls `f` with the unwind data of the instruction at `address`; `None` without any.
    fn function<T>(&mut self, address: usize, f: impl FnOnce(&Function<'_>) -> T) -> Option<T>;
    /// Whether `instructions` are the code at `address`.
    fn is(&self, address: usize, instructions: [u32; 2]) -> bool;
}

/// What a walk is for.
pub(crate) trait Visit {
    /// The next frame outwards: its address, and whether it is exact. `None` to stop.
    fn frame(&mut self, address: usize, exact: bool) -> Option<()>;
    /// A rule reads the frame pointer of the frame at `at`.
    fn frame_pointer(&mut self, _at: &Fast) {}
    /// Whether it is known what lies from `at`, which a rule leads on from, outwards.
    fn joins(&mut self, _at: &Fast) -> bool {
        false
    }
}

/// Walks from `frame` outwards. `None` where a register is needed that the rules, which `rules`
/// allows, did not follow.
pub(crate) fn walk(
    mut frame: Frame,
    code: &mut impl Code,
    stack: &mut impl Stack,
    visit: &mut impl Visit,
    rules: bool,
) -> Option<End> {
    loop {
        let mut known = None;
        if rules
            && !frame.exact
            && let Some(mut fast) = frame.fast()
        {
            let mut moved = false;
            loop {
                known = rule_cache::get(fast.pc);
                let Some(Known::Rule(rule)) = known else { break };
                if visit.joins(&fast) {
                    return Some(End::Joined);
                }
                let Some(caller) = rule.apply(fast, |at| stack.word(at)) else { break };
                if visit.frame(fast.pc, false).is_none() {
                    return Some(End::Cut);
                }
                if rule.reads_frame_pointer() {
                    visit.frame_pointer(&fast);
                }
                if caller.pc == 0 {
                    return Some(End::Outermost);
                }
                fast = caller;
                moved = true;
            }
            if moved {
                frame = Frame::of(fast, |at| stack.word(at));
            }
        }
        if visit.frame(frame.pc(), frame.exact).is_none() {
            return Some(End::Cut);
        }
        if known == Some(Known::Outermost) {
            return Some(End::Outermost);
        }
        let step = code.function(frame.instruction(), |function| {
            let Some(row) = Row::find(function, frame.instruction()) else { return Step::Lost };
            let step = frame.caller(function, &row, stack);
            if rules && !frame.exact && known.is_none() {
                learn(frame.pc(), function, &row, &step);
            }
            step
        });
        let ends_a_handler = |end: &HandlerEnd| step.is_none() && code.is(frame.pc(), end.code);
        let step = match HANDLER_END.filter(ends_a_handler) {
            Some(end) => Some(frame.interrupted(end, stack)),
            None => step,
        };
        match step {
            Some(Step::Caller(caller)) => frame = caller,
            Some(Step::Outermost) => return Some(End::Outermost),
            Some(Step::Unfollowed) if rules => return None,
            // Not kept: an object that is being opened has unwind data a moment later.
            Some(Step::Unfollowed | Step::Lost) | None => return Some(End::Cut),
        }
    }
}

/// Keeps what was found out about return address `address`.
fn learn(address: usize, function: &Function<'_>, row: &Row, step: &Step) {
    let column = usize::try_from(function.common.return_column).unwrap_or(usize::MAX);
    let rule = Rule::compile(row, column).filter(|_| !function.common.signal);
    match (step, rule) {
        // A return address of zero is the stack's word, not the code's.
        (Step::Caller(_) | Step::Outermost, Some(rule)) => {
            rule_cache::put(address, Known::Rule(rule));
        }
        (Step::Caller(_) | Step::Unfollowed, None) => rule_cache::put(address, Known::Row),
        (Step::Outermost, None) => rule_cache::put(address, Known::Outermost),
        _ => {}
    }
}
