//! One ranking made of several, whose scores cannot be compared: by the places alone (reciprocal rank
//! fusion). Pure.

use std::collections::BTreeMap;

use crate::store::Passage;

/// The constant of Cormack, Clarke and Büttcher (SIGIR 2009): the higher, the less the first places
/// weigh.
const RANK_CONSTANT: f64 = 60.0;

/// The best `limit` passages of all rankings, each once, with the sum of what its places are worth.
pub(super) fn fused<const N: usize>(rankings: [Vec<Passage>; N], limit: usize) -> Vec<Passage> {
    let mut all: BTreeMap<_, Passage> = BTreeMap::new();
    for ranking in rankings {
        for (rank, passage) in (1_u32..).zip(ranking) {
            let worth = 1.0 / (RANK_CONSTANT + f64::from(rank));
            let found = all.entry(passage.id).or_insert(Passage { score: 0.0, ..passage });
            found.score += worth;
        }
    }
    let mut best: Vec<Passage> = all.into_values().collect();
    best.sort_by(|a, b| b.score.total_cmp(&a.score));
    best.truncate(limit);
    best
}

#[cfg(test)]
mod tests {
    use api_client::MemoryId;

    use super::*;

    fn ids(passages: &[Passage]) -> Vec<MemoryId> {
        passages.iter().map(|passage| passage.id).collect()
    }

    #[test]
    fn what_both_rankings_have_comes_before_the_first_of_one() {
        let [a, b, c] =
            [0; 3].map(|_| Passage { id: MemoryId::random(), text: String::new(), score: 9.0 });
        let both = fused([vec![a.clone(), b.clone()], vec![c.clone(), b.clone()]], 9);
        assert_eq!(both.len(), 3, "each once");
        assert_eq!(both[0].id, b.id);
        let expected = 2.0 / 62.0;
        assert!((both[0].score - expected).abs() < 1e-9, "{}", both[0].score);
        assert_eq!(ids(&fused([vec![a.clone(), b.clone()], vec![]], 9)), [a.id, b.id]);
        assert_eq!(ids(&fused([vec![a.clone(), b], vec![a.clone(), c]], 1)), [a.id]);
    }
}
