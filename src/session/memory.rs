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

/// Plans memory; without `reuse` every need gets a slot of its own, so that all values can be looked at afterwards.
pub fn plan(needs: &[Need], reuse: bool) -> MemoryPlan {
    if !reuse {
        return MemoryPlan {
            slot_of: (0..needs.len()).collect(),
            slots: needs.iter().map(|need| need.bytes).collect(),
        };
    }
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(needs[i].bytes), needs[i].first));
    let mut plan = MemoryPlan { slot_of: vec![0; needs.len()], slots: Vec::new() };
    let mut users: Vec<Vec<usize>> = Vec::new();
    let overlap = |a: &Need, b: &Need| a.first <= b.last && b.first <= a.last;
    for index in order {
        let need = &needs[index];
        let free = users.iter().position(|users| !users.iter().any(|&user| overlap(&needs[user], need)));
        let slot = free.unwrap_or_else(|| {
            users.push(Vec::new());
            plan.slots.push(need.bytes);
            users.len() - 1
        });
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
            .map(|i| Need { bytes: 1 + i * 37 % 11, first: (i * 7 % 20) as usize, last: (i * 7 % 20 + i % 5) as usize })
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
        let needs: Vec<Need> = (0..10).map(|i| Need { bytes: 8, first: i, last: i + 1 }).collect();
        assert_eq!(plan(&needs, true).peak(), 16);
        assert_eq!(plan(&needs, false).peak(), 80);
    }
}
