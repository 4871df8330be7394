//! Choices against the models' own definitions, by sorting and in `f64`.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::backend::tests::Numbers;

fn routing(experts: usize, top_k: usize) -> Routing {
    Routing { experts, top_k, scoring: Scoring::Softmax, groups: None, normalize: true, scale: 1.0 }
}

fn choose(routing: &Routing, scores: &[f32], correction: Option<&[f32]>) -> Vec<Choice> {
    routing.check(scores.len(), correction.map(<[f32]>::len)).unwrap();
    let mut group_scores = vec![f32::NAN; routing.group_count()];
    let mut chosen = vec![Choice { expert: 99, weight: 9.0 }; routing.top_k];
    routing.choose(scores, correction, &mut group_scores, &mut chosen);
    chosen
}

fn experts(chosen: &[Choice]) -> Vec<u32> {
    chosen.iter().map(|choice| choice.expert).collect()
}

/// Indices of the `count` greatest, of equal ones the lower first, in their order: by a stable sort.
fn greatest(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[test]
fn choices_are_the_models_definitions() {
    // Mixtral, DBRX, DeepSeek V3; groups of one; no normalization.
    let groups = |groups, top_groups| Some(ExpertGroups { groups, top_groups });
    let cases = [
        (routing(8, 2), false),
        (routing(16, 4), false),
        (Routing { groups: groups(8, 4), scale: 2.5, ..routing(256, 8) }, true),
        (Routing { groups: groups(6, 3), ..routing(6, 3) }, true),
        (Routing { normalize: false, scale: 16.0, ..routing(64, 6) }, false),
        (routing(1, 1), true),
    ];
    for (case, corrected) in cases {
        let mut numbers = Numbers(case.experts as u64);
        for row in 0..50 {
            // Coarse scores in every other row: many are equal.
            let coarse = |x: f32| if row % 2 == 0 { (x * 4.0).round() / 4.0 } else { x };
            let scores: Vec<f32> =
                numbers.take(case.experts).iter().map(|x| coarse((x + 1.0) / 2.0)).collect();
            let correction: Vec<f32> = numbers.take(case.experts).iter().map(|x| coarse(*x)).collect();
            let correction = corrected.then_some(&correction[..]);
            let sums: Vec<f64> = (0..case.experts)
                .map(|e| f64::from(scores[e] + correction.map_or(0.0, |correction| correction[e])))
                .collect();
            let mut masked = sums.clone();
            if let Some(ExpertGroups { groups, top_groups }) = case.groups {
                let size = case.experts / groups;
                let score = |group: &[f64]| -> f64 {
                    let mut group = group.to_vec();
                    group.sort_by(|a, b| b.total_cmp(a));
                    f64::from(group[..2.min(size)].iter().map(|&x| x as f32).sum::<f32>())
                };
                let stay = greatest(&sums.chunks(size).map(score).collect::<Vec<_>>(), top_groups);
                for (expert, sum) in masked.iter_mut().enumerate() {
                    if !stay.contains(&(expert / size)) {
                        *sum = f64::NEG_INFINITY;
                    }
                }
            }
            let expected = greatest(&masked, case.top_k);
            let sum: f64 = expected.iter().map(|&e| f64::from(scores[e])).sum::<f64>() + 1e-20;
            let chosen = choose(&case, &scores, correction);
            assert_eq!(chosen.len(), expected.len());
            for (choice, &expert) in chosen.iter().zip(&expected) {
                assert_eq!(choice.expert as usize, expert, "{case:?} row {row}");
                let weight = f64::from(scores[expert]) / if case.normalize { sum } else { 1.0 };
                let weight = weight * f64::from(case.scale);
                let difference = (weight - f64::from(choice.weight)).abs();
                assert!(difference <= 1e-6 * weight.abs(), "{case:?} row {row}: {weight} {choice:?}");
            }
        }
    }
}

#[test]
fn the_lower_index_comes_first_and_nan_last() {
    let nan = f32::NAN;
    assert_eq!(experts(&choose(&routing(4, 2), &[0.25; 4], None)), [0, 1]);
    assert_eq!(experts(&choose(&routing(4, 2), &[0.1, nan, 0.1, 0.3], None)), [0, 3]);
    assert_eq!(experts(&choose(&routing(4, 3), &[nan, nan, nan, 0.3], None)), [0, 1, 3]);
    assert_eq!(experts(&choose(&routing(4, 2), &[nan; 4], None)), [0, 1]);
    // A NaN in the choice is one in the weights.
    assert!(choose(&routing(4, 4), &[0.1, nan, 0.1, 0.3], None).iter().all(|choice| choice.weight.is_nan()));
    let grouped = Routing { groups: Some(ExpertGroups { groups: 3, top_groups: 1 }), ..routing(6, 2) };
    // One expert without a number is enough for a group to come last; all of them are equal again.
    assert_eq!(experts(&choose(&grouped, &[0.9, nan, 0.1, 0.2, 0.1, 0.2], None)), [2, 3]);
    assert_eq!(experts(&choose(&grouped, &[nan; 6], None)), [0, 1]);
    let infinite = [f32::NEG_INFINITY, f32::INFINITY, 0.0, 0.0, 1.0, 1.0];
    assert_eq!(experts(&choose(&grouped, &infinite, None)), [4, 5]);
    // Nothing to divide by is no division by zero.
    assert!(choose(&routing(4, 2), &[0.0; 4], None).iter().all(|choice| choice.weight == 0.0));
}

#[test]
fn numbers_that_contradict_each_other_are_refused() {
    let line =
        |routing: Routing, experts, correction| routing.check(experts, correction).unwrap_err().to_string();
    assert_eq!(line(routing(8, 2), 7, None), "mixture: the number of experts is 7, expected 8");
    assert_eq!(line(routing(8, 2), 8, Some(9)), "mixture: the length of the correction is 9, expected 8");
    assert_eq!(line(routing(8, 0), 8, None), "top_k is 0; accepted: 1 to 8");
    assert_eq!(line(routing(8, 9), 8, None), "top_k is 9; accepted: 1 to 8");
    assert_eq!(line(routing(0, 1), 0, None), "top_k is 1; accepted: 1 to 0");
    let grouped =
        |groups, top_groups| Routing { groups: Some(ExpertGroups { groups, top_groups }), ..routing(8, 5) };
    assert_eq!(line(grouped(3, 1), 8, None), "groups is 3; accepted: a divisor of 8 experts");
    assert_eq!(line(grouped(0, 1), 8, None), "groups is 0; accepted: a divisor of 8 experts");
    assert_eq!(line(grouped(4, 5), 8, None), "top_groups is 5; accepted: 1 to 4");
    assert_eq!(line(grouped(4, 0), 8, None), "top_groups is 0; accepted: 1 to 4");
    assert_eq!(line(grouped(4, 2), 8, None), "top_k is 5; accepted: 1 to 4");
}
