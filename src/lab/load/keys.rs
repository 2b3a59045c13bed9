//! Which request asks for what. Knows nothing of strategies: that is what makes terms equal.

use crate::lab::plan::{Distribution, Parameters};

use crate::lab::random;

/// The sequence of queries of one round: a pure function of parameters, seed and round.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    values: Vec<String>,
    /// For each value, the share of all draws that fall on it or one before it; the last is 1.
    up_to: Vec<f64>,
    seed: u64,
}

impl Keys {
    /// The sequence of this round. Parameters without values ask for nothing in particular.
    pub fn new(parameters: &Parameters, seed: u64, round: u32) -> Keys {
        let mut values = parameters.values.clone();
        if values.is_empty() {
            values.push(String::new());
        }
        let weight = |place: usize| match parameters.distribution {
            Distribution::Fixed => f64::from(u8::from(place == 1)),
            Distribution::Uniform => 1.0,
            Distribution::Zipf { exponent } => (place as f64).powf(-exponent),
        };
        let mut sum = 0.0;
        let mut up_to: Vec<f64> = (1..=values.len())
            .map(|place| {
                sum += weight(place);
                sum
            })
            .collect();
        up_to.iter_mut().for_each(|share| *share /= sum);
        // Rounds of one seed, and seeds side by side, must not share a sequence at a distance.
        let seed = random::draw(random::draw(seed, 0), u64::from(round));
        Self { values, up_to, seed }
    }

    /// What request `i` asks for: a query string without the question mark, empty for none.
    pub fn get(&self, i: u64) -> &str {
        &self.values[self.place(i)]
    }

    /// Every value that can be asked for.
    pub(super) fn values(&self) -> &[String] {
        &self.values
    }

    /// Which of [`Self::values`] request `i` asks for.
    pub(super) fn place(&self, i: u64) -> usize {
        let share = random::share(self.seed, i);
        let place = self.up_to.partition_point(|&up_to| up_to <= share);
        // Only a rounding error in the last share could lead past it.
        place.min(self.values.len() - 1)
    }
}

/// Path and query of a request.
pub(super) fn path_and_query(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(count: usize, distribution: Distribution, seed: u64, round: u32) -> Keys {
        let values = (0..count).map(|i| format!("key={i}")).collect();
        Keys::new(&Parameters { values, distribution }, seed, round)
    }

    /// Pearson's statistic of `draws` keys against expected shares.
    fn chi_square(keys: &Keys, draws: u64, expected: &[f64]) -> f64 {
        let mut seen = vec![0.0; expected.len()];
        (0..draws).for_each(|i| seen[keys.place(i)] += 1.0);
        let of = |(seen, share): (&f64, &f64)| {
            (seen - share * draws as f64).powi(2) / (share * draws as f64)
        };
        seen.iter().zip(expected).map(of).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..Default::default() })]

        #[test]
        fn values_come_as_often_as_their_distribution_says(
            seed: u64, round in 1u32..50, count in 2usize..40, exponent in 0.0f64..1.5,
        ) {
            let weights: Vec<f64> = (1..=count).map(|k| 1.0 / (k as f64).powf(exponent)).collect();
            let sum: f64 = weights.iter().sum();
            let zipf: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
            let uniform = vec![1.0 / count as f64; count];
            // Mean k, standard deviation sqrt(2k) with k degrees of freedom: 6 of them are allowed.
            let degrees = (count - 1) as f64;
            let most = degrees + 6.0 * (2.0 * degrees).sqrt();
            let drawn = keys(count, Distribution::Zipf { exponent }, seed, round);
            prop_assert!(chi_square(&drawn, 20_000, &zipf) < most);
            let drawn = keys(count, Distribution::Uniform, seed, round);
            prop_assert!(chi_square(&drawn, 20_000, &uniform) < most);
        }

        #[test]
        fn keys_that_follow_each_other_are_independent(seed: u64) {
            let drawn = keys(5, Distribution::Uniform, seed, 1);
            let mut pairs = [0.0; 25];
            (0..20_000).for_each(|i| pairs[drawn.place(2 * i) * 5 + drawn.place(2 * i + 1)] += 1.0);
            let statistic: f64 = pairs.iter().map(|seen| (seen - 800.0f64).powi(2) / 800.0).sum();
            prop_assert!(statistic < 24.0 + 6.0 * 48.0f64.sqrt());
        }
    }

    #[test]
    fn a_round_is_the_same_for_everyone_and_differs_from_the_others() {
        let sequence = |seed, round| -> Vec<usize> {
            let keys = keys(20, Distribution::Uniform, seed, round);
            (0..50).map(|i| keys.place(i)).collect()
        };
        assert_eq!(sequence(1, 1), sequence(1, 1));
        assert_ne!(sequence(1, 1), sequence(1, 2));
        assert_ne!(sequence(1, 1), sequence(2, 1));
    }

    #[test]
    fn the_sequence_does_not_change_with_machines_and_versions() {
        let places = |distribution| -> Vec<usize> {
            let keys = keys(10, distribution, 42, 3);
            (0..10).map(|i| keys.place(i)).collect()
        };
        // Computed by another implementation, from the description of the generator.
        assert_eq!(places(Distribution::Uniform), [1, 8, 3, 6, 7, 2, 0, 1, 5, 7]);
        assert_eq!(places(Distribution::Zipf { exponent: 1.0 }), [0, 6, 1, 3, 4, 0, 0, 0, 1, 4]);
    }

    #[test]
    fn fixed_is_always_the_first_and_no_query_is_no_question_mark() {
        let fixed = keys(3, Distribution::Fixed, 1, 1);
        assert!((0..1000).all(|i| fixed.get(i) == "key=0"));
        assert_eq!(path_and_query("/noop", ""), "/noop");
        assert_eq!(path_and_query("/a", fixed.get(0)), "/a?key=0");
        let none = Parameters { values: Vec::new(), distribution: Distribution::Uniform };
        assert_eq!(Keys::new(&none, 1, 1).get(7), "");
    }
}
