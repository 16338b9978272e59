//! The memory plan: values whose lifetimes do not overlap share a slot.
//!
//! Slots are shared greedily by size, the largest values first: near the best possible for networks, and each slot can be a
//! buffer of its own, as wgpu's hazard tracking wants it (Pisarchyk and Lee 2020, "greedy by size").

/// Something that needs memory while the nodes `first..=last` run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Bytes.
    pub bytes: u64,
    /// Position of the first node that needs it.
    pub first: usize,
    /// Position of the last one.
    pub last: usize,
    /// Whether only steps that are watched need it.
    pub watch: bool,
}

/// Which slot serves each need, and how large the slots are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// For each need, its slot.
    pub slot_of: Vec<usize>,
    /// Bytes of each slot.
    pub slots: Vec<u64>,
}

impl MemoryPlan {
    /// Bytes of all slots together: what the plan allocates.
    pub fn peak(&self) -> u64 {
        self.slots.iter().sum()
    }
}

/// Plans memory; without `reuse` every need gets a slot of its own, so that all values can be looked at afterwards. What is needed for
/// watching takes what room the rest leaves: a step that is not watched works in as little memory as if none were.
pub fn plan(needs: &[Need], reuse: bool) -> MemoryPlan {
    if !reuse {
        return MemoryPlan {
            slot_of: (0..needs.len()).collect(),
            slots: needs.iter().map(|need| need.bytes).collect(),
        };
    }
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&i| (needs[i].watch, std::cmp::Reverse(needs[i].bytes), needs[i].first));
    let mut plan = MemoryPlan { slot_of: vec![0; needs.len()], slots: Vec::new() };
    let mut users: Vec<Vec<usize>> = Vec::new();
    let overlap = |a: &Need, b: &Need| a.first <= b.last && b.first <= a.last;
    for index in order {
        let need = &needs[index];
        let free = (0..users.len()).filter(|&slot| !users[slot].iter().any(|&user| overlap(&needs[user], need)));
        // The first that is large enough, or else the one that is to grow least.
        let slot = free.min_by_key(|&slot| need.bytes.saturating_sub(plan.slots[slot])).unwrap_or_else(|| {
            users.push(Vec::new());
            plan.slots.push(0);
            users.len() - 1
        });
        plan.slots[slot] = need.bytes.max(plan.slots[slot]);
        users[slot].push(index);
        plan.slot_of[index] = slot;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_live_at_the_same_time_never_share() {
        let needs: Vec<Need> = (0..40u64)
            .map(|i| Need {
                bytes: 1 + i * 37 % 11,
                first: (i * 7 % 20) as usize,
                last: (i * 7 % 20 + i % 5) as usize,
                watch: i % 3 == 0,
            })
            .collect();
        let plan = plan(&needs, true);
        for a in 0..needs.len() {
            assert!(plan.slots[plan.slot_of[a]] >= needs[a].bytes);
            for b in 0..a {
                let together = needs[a].first <= needs[b].last && needs[b].first <= needs[a].last;
                assert!(!together || plan.slot_of[a] != plan.slot_of[b]);
            }
        }
    }

    #[test]
    fn a_chain_needs_two_slots() {
        let needs: Vec<Need> = (0..10).map(|i| Need { bytes: 8, first: i, last: i + 1, watch: false }).collect();
        assert_eq!(plan(&needs, true).peak(), 16);
        assert_eq!(plan(&needs, false).peak(), 80);
    }

    #[test]
    fn what_is_watched_moves_nothing_else() {
        let need = |bytes, first, last, watch| Need { bytes, first, last, watch };
        let plain = [need(8, 0, 2, false), need(6, 2, 4, false), need(4, 4, 6, false)];
        // Larger than all others, and free where they are not.
        let watched = [need(16, 1, 1, true), need(16, 5, 5, true), need(2, 3, 3, true)];
        let all = plan(&[plain, watched].concat(), true);
        assert_eq!(all.slot_of[..3], plan(&plain, true).slot_of);
        assert_eq!((all.slot_of[3..].to_vec(), all.slots), (vec![1, 1, 0], vec![8, 16]));
    }
}
