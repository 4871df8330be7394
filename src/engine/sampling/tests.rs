#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn params(change: impl FnOnce(&mut SamplingParams)) -> SamplingParams {
    let mut params = SamplingParams::default();
    change(&mut params);
    params
}

fn ids(distribution: &[(u32, f64)]) -> Vec<u32> {
    distribution.iter().map(|&(id, _)| id).collect()
}

#[test]
fn greedy_takes_the_lowest_id_of_equals() {
    let mut sampler = Sampler::new(4);
    let token = sampler.sample(&[1.0, 3.0, 3.0, 2.0], None, &SamplingParams::greedy(), &[], &[]).unwrap();
    assert_eq!(token, SampledToken { id: 1, logprob: None, top: Vec::new() });
}

#[test]
fn greedy_is_decided_after_penalties_and_bias() {
    let mut sampler = Sampler::new(3);
    let logits = [1.0, 3.0, 2.5];
    let mut greedy = SamplingParams::greedy();
    greedy.presence_penalty = 1.0;
    assert_eq!(
        sampler.sample(&logits, None, &greedy, &[1], &[]).unwrap().id,
        1,
        "presence is of generated text only"
    );
    assert_eq!(sampler.sample(&logits, None, &greedy, &[], &[1]).unwrap().id, 2);
    greedy.logit_bias = vec![(0, 5.0)];
    assert_eq!(sampler.sample(&logits, None, &greedy, &[], &[1]).unwrap().id, 0);
    let mut greedy = SamplingParams::greedy();
    greedy.repetition_penalty = 2.0;
    assert_eq!(
        sampler.sample(&logits, None, &greedy, &[1, 1], &[]).unwrap().id,
        2,
        "repetition is of the prompt too"
    );
}

#[test]
fn history_leaves_nothing_behind() {
    let mut sampler = Sampler::new(3);
    let logits = [1.0, 3.0, 2.5];
    let all = params(|p| {
        (p.repetition_penalty, p.frequency_penalty, p.presence_penalty) = (1.5, 0.3, 0.2);
    });
    let before = sampler.distribution(&logits, &all, &[0, 9], &[1, 1]).unwrap();
    sampler.distribution(&logits, &all, &[2, 2, 2, 0], &[0, 1, 2]).unwrap();
    assert_eq!(sampler.distribution(&logits, &all, &[0, 9], &[1, 1]).unwrap(), before);
}

#[test]
fn log_probabilities_are_of_the_raw_logits() {
    let logits = [0.0, 1.0, 1.0, -1.0];
    let hot = params(|p| {
        (p.temperature, p.logprobs) = (0.0, Some(3));
        p.logit_bias = vec![(3, 100.0)];
    });
    let token = Sampler::new(4).sample(&logits, None, &hot, &[], &[]).unwrap();
    let normalizer = (1.0 + 2.0 * 1_f64.exp() + (-1_f64).exp()).ln();
    assert_eq!(token.id, 3);
    assert!((f64::from(token.logprob.unwrap()) - (-1.0 - normalizer)).abs() < 1e-6);
    assert_eq!(token.top.iter().map(|&(id, _)| id).collect::<Vec<_>>(), [1, 2, 0]);
    assert!((f64::from(token.top[0].1) - (1.0 - normalizer)).abs() < 1e-6);
}

#[test]
fn a_row_that_cannot_be_sampled_from_is_an_error_that_says_so() {
    let mut sampler = Sampler::new(2);
    for (row, word) in [
        (vec![0.0, f32::NAN], "token 1 is NaN"),
        (vec![f32::INFINITY, 0.0], "token 0 is inf"),
        (vec![f32::NEG_INFINITY; 2], "negative infinity"),
        (vec![0.0; 3], "3 logits"),
    ] {
        for params in [SamplingParams::default(), SamplingParams::greedy()] {
            let error = sampler.sample(&row, None, &params, &[], &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert!(error.message().contains(word), "{error}");
        }
    }
    let masked = [f32::NEG_INFINITY, -3.0];
    assert_eq!(sampler.sample(&masked, None, &SamplingParams::default(), &[], &[]).unwrap().id, 1);
    let outside = params(|p| p.logit_bias = vec![(2, 1.0)]);
    let error = sampler.sample(&[0.0, 0.0], None, &outside, &[], &[]).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("logit_bias")));
}

#[test]
fn top_k_of_equals_keeps_exactly_k() {
    let kept = Sampler::new(6).distribution(&[1.0; 6], &params(|p| p.top_k = Some(2)), &[], &[]).unwrap();
    assert_eq!(kept, [(0, 0.5), (1, 0.5)]);
}

#[test]
fn every_field_out_of_range_is_named() {
    assert!(SamplingParams::default().validate().is_ok() && SamplingParams::greedy().validate().is_ok());
    let cases: [(&str, SamplingParams); 12] = [
        ("temperature", params(|p| p.temperature = 2.1)),
        ("temperature", params(|p| p.temperature = f32::NAN)),
        ("top_k", params(|p| p.top_k = Some(0))),
        ("top_p", params(|p| p.top_p = 0.0)),
        ("top_p", params(|p| p.top_p = f32::NAN)),
        ("min_p", params(|p| p.min_p = -0.1)),
        ("repetition_penalty", params(|p| p.repetition_penalty = 0.0)),
        ("repetition_penalty", params(|p| p.repetition_penalty = f32::INFINITY)),
        ("frequency_penalty", params(|p| p.frequency_penalty = 2.5)),
        ("presence_penalty", params(|p| p.presence_penalty = -2.5)),
        ("logit_bias", params(|p| p.logit_bias = vec![(1, 101.0)])),
        ("top_logprobs", params(|p| p.logprobs = Some(21))),
    ];
    for (field, params) in cases {
        let error = params.validate().unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some(field)));
    }
}

/// Draws follow the distribution: Pearson's chi-square over the tokens that are expected often enough.
#[test]
fn draws_follow_the_distribution() {
    let logits: Vec<f32> = (0..40).map(|i| ((i * 7919) % 97) as f32 / 20.0).collect();
    let mut sampler = Sampler::new(logits.len());
    let draws = 20_000_usize;
    let history: Vec<u32> = vec![0; draws];
    for (seed, top_p) in [(1, 1.0), (2, 0.8)] {
        let params = params(|p| (p.seed, p.top_p, p.temperature) = (seed, top_p, 0.9));
        let expected = sampler.distribution(&logits, &params, &[], &[]).unwrap();
        let mut counts = vec![0_u32; logits.len()];
        for n in 0..draws {
            counts[sampler.sample(&logits, None, &params, &[], &history[..n]).unwrap().id as usize] += 1;
        }
        let mut chi = 0.0;
        for &(id, p) in &expected {
            let mean = p * draws as f64;
            assert!(mean > 5.0, "token {id} is too rare for the test");
            chi += (f64::from(std::mem::take(&mut counts[id as usize])) - mean).powi(2) / mean;
        }
        assert!(counts.iter().all(|&n| n == 0), "a token outside the distribution was drawn");
        // Mean and variance of chi-square are k and 2k; four deviations.
        let k = (expected.len() - 1) as f64;
        assert!(chi < k + 4.0 * (2.0 * k).sqrt(), "chi-square {chi} with {k} degrees of freedom");
    }
}

fn any_params() -> impl Strategy<Value = SamplingParams> {
    (
        (0.05_f32..2.0, prop::option::of(1_u32..400), 0.01_f32..=1.0, 0.0_f32..0.5),
        (
            0.5_f32..2.0,
            -2.0_f32..2.0,
            -2.0_f32..2.0,
            prop::collection::vec((0_u32..300, -100.0_f32..100.0), 0..4),
        ),
        any::<u64>(),
    )
        .prop_map(
            |((temperature, top_k, top_p, min_p), (repetition, frequency, presence, logit_bias), seed)| {
                SamplingParams {
                    temperature,
                    top_k,
                    top_p,
                    min_p,
                    repetition_penalty: repetition,
                    frequency_penalty: frequency,
                    presence_penalty: presence,
                    logit_bias,
                    seed,
                    logprobs: Some(5),
                }
            },
        )
}

/// More tokens than the first nucleus, so that growing it is exercised; flat enough to need it.
fn any_row() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(
        prop_oneof![8 => -3.0_f32..3.0, 1 => Just(0.5), 1 => Just(f32::NEG_INFINITY)],
        300..1500,
    )
    .prop_filter("some token must be possible", |row| row.iter().any(|l| l.is_finite()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn probabilities_sum_to_one_and_the_draw_is_among_them(
        row in any_row(), params in any_params(), history in prop::collection::vec(0_u32..300, 0..20),
    ) {
        let mut sampler = Sampler::new(row.len());
        let kept = sampler.distribution(&row, &params, &[], &history).unwrap();
        prop_assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert!((kept.iter().map(|&(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
        if let Some(k) = params.top_k {
            prop_assert!(kept.len() <= k as usize);
        }
        let token = sampler.sample(&row, None, &params, &[], &history).unwrap();
        prop_assert!(ids(&kept).contains(&token.id));
        prop_assert_eq!(token.top.len(), 5);
        prop_assert!(token.top.windows(2).all(|p| p[0].1 > p[1].1 || (p[0].1 == p[1].1 && p[0].0 < p[1].0)));
        // Another sampler, used for something else before: the same bits.
        let mut other = Sampler::new(row.len());
        other.sample(&row, None, &SamplingParams { seed: 77, ..params.clone() }, &[3], &[4, 4]).unwrap();
        prop_assert_eq!(other.sample(&row, None, &params, &[], &history).unwrap(), token);
    }

    #[test]
    fn a_smaller_top_p_keeps_a_subset(row in any_row(), a in 0.01_f32..1.0, b in 0.01_f32..1.0) {
        let mut sampler = Sampler::new(row.len());
        let wide = sampler.distribution(&row, &params(|p| p.top_p = a.max(b)), &[], &[]).unwrap();
        let narrow = sampler.distribution(&row, &params(|p| p.top_p = a.min(b)), &[], &[]).unwrap();
        let wide = ids(&wide);
        prop_assert!(ids(&narrow).iter().all(|id| wide.contains(id)));
    }

    #[test]
    fn top_p_is_the_smallest_sufficient_set(row in any_row(), p in 0.01_f32..0.99) {
        let mut sampler = Sampler::new(row.len());
        let all = sampler.distribution(&row, &SamplingParams::default(), &[], &[]).unwrap();
        let mut sorted = all;
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut mass = 0.0;
        let needed = sorted.iter().take_while(|&&(_, q)| { let below = mass < f64::from(p) - 1e-12; mass += q; below });
        let mut expected: Vec<u32> = needed.map(|&(id, _)| id).collect();
        expected.sort_unstable();
        let kept = ids(&sampler.distribution(&row, &params(|s| s.top_p = p), &[], &[]).unwrap());
        prop_assert_eq!(kept, expected);
    }
}
