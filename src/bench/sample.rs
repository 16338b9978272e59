//! Timing: warmed up, several runs one after the other before the host waits, many times, the median and how far they spread.

use std::time::Instant;

use crate::error::Result;

/// What many runs of the same work took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Seconds of one run: the median over the submissions.
    pub median: f64,
    /// The distance between the quartiles as a share of the median.
    pub spread: f64,
    /// Submissions.
    pub submissions: usize,
    /// Runs in each of them.
    pub together: usize,
}

/// Fewest submissions.
const FEWEST: usize = 3;
/// Most submissions.
const MOST: usize = 200;
/// Most runs of a submission.
const MOST_TOGETHER: usize = 512;
/// Seconds that a submission should last at most: some drivers reset longer ones.
const LONGEST: f64 = 0.25;
/// Submissions that the given time should hold.
const WANTED: f64 = 12.0;

/// Seconds that a submission lasts beside which what it costs by itself (0.1 to 0.2 ms on GPUs) is little.
const ENOUGH: f64 = 0.005;

/// The submissions into which `times` runs are divided, by their lengths. A GPU begins with the first one while the host still records
/// the others, as in training; a processor does both, and one is the least work.
pub fn submissions(times: usize, processor: bool) -> impl Iterator<Item = usize> {
    const MOST: usize = 8;
    let each = if processor { times } else { times.div_ceil(MOST) };
    (0..times).step_by(each.max(1)).map(move |from| each.min(times - from))
}

/// Seconds of one run where so many are done before the host waits.
fn timer(mut run: impl FnMut(usize) -> Result<()>) -> impl FnMut(usize) -> Result<f64> {
    move |count| {
        let started = Instant::now();
        run(count).map(|()| started.elapsed().as_secs_f64() / count as f64)
    }
}

/// Times `run`, which does the work so many times and waits for its end, for about so many seconds. Work
/// that is longer is still done a few times.
pub fn sample(seconds: f64, run: impl FnMut(usize) -> Result<()>) -> Result<Sample> {
    let mut time = timer(run);
    let mut one = time(1)?;
    if one < seconds {
        one = one.min(time(1)?);
    }
    // A single submission costs something by itself: how much the work takes is seen when there are several.
    let aimed = |one: f64| ((seconds / WANTED).min(LONGEST) / one.max(1e-9)) as usize;
    let mut together = aimed(one).clamp(1, MOST_TOGETHER);
    if together > 1 {
        together = aimed(time(together)?).clamp(1, MOST_TOGETHER);
    }
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.len() < FEWEST || (started.elapsed().as_secs_f64() < seconds && times.len() < MOST) {
        times.push(time(together)?);
    }
    Ok(Sample::of(times, together))
}

/// The same, except for work of which one run takes more than `limit` seconds: that is timed no longer than it takes to see it.
pub fn sample_up_to(limit: f64, seconds: f64, mut run: impl FnMut(usize) -> Result<()>) -> Result<Sample> {
    match beyond(limit, timer(&mut run))? {
        Some((one, together)) => Ok(Sample::of(vec![one], together)),
        None => sample(seconds, run),
    }
}

/// What one run takes, and of how many together, where it is more than `limit` seconds: seen in submissions of more and more runs,
/// until what a submission costs by itself is little.
fn beyond(limit: f64, mut time: impl FnMut(usize) -> Result<f64>) -> Result<Option<(f64, usize)>> {
    let mut together = 1;
    loop {
        let mut one = time(together)?;
        if limit < one && one < LONGEST {
            // Once it may have been something else that took so long.
            one = one.min(time(together)?);
        }
        if one <= limit {
            return Ok(None);
        }
        if one * together as f64 >= ENOUGH || together >= MOST_TOGETHER {
            return Ok(Some((one, together)));
        }
        together *= 4;
    }
}

impl Sample {
    /// The median and spread of these times of single runs.
    pub fn of(mut times: Vec<f64>, together: usize) -> Self {
        times.sort_by(f64::total_cmp);
        let median = quantile(&times, 0.5);
        let spread = (quantile(&times, 0.75) - quantile(&times, 0.25)) / median.max(f64::MIN_POSITIVE);
        Self { median, spread, submissions: times.len(), together }
    }
}

/// Between the two nearest of these sorted numbers; NaN where there are none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_distance_of_the_quartiles() {
        let sample = Sample::of(vec![5.0, 1.0, 3.0, 2.0, 4.0], 1);
        assert_eq!((sample.median, sample.spread), (3.0, 2.0 / 3.0));
    }

    #[test]
    fn a_gpu_is_given_the_first_runs_while_the_others_are_recorded() {
        let parts = |times, processor| submissions(times, processor).collect::<Vec<_>>();
        assert_eq!(parts(512, false), [64; 8]);
        assert_eq!(parts(22, false), [3, 3, 3, 3, 3, 3, 3, 1]);
        assert_eq!((parts(1, false), parts(22, true)), (vec![1], vec![22]));
    }

    #[test]
    fn work_is_slow_by_what_it_takes_and_not_by_what_a_submission_costs() {
        let device = |work: f64| move |count: usize| Ok(150e-6 / count as f64 + work);
        let limit = 50e-6;
        assert_eq!(beyond(limit, device(20e-6)).unwrap(), None);
        let (slow, together) = beyond(limit, device(80e-6)).unwrap().unwrap();
        assert!((slow - 80e-6).abs() < 0.03 * 80e-6 && together > 1);
        assert_eq!(beyond(limit, device(0.1)).unwrap().unwrap().1, 1);
        let mut hiccup = 0.01;
        let disturbed = |count: usize| Ok(std::mem::take(&mut hiccup) + device(20e-6)(count)?);
        assert_eq!(beyond(limit, disturbed).unwrap(), None);
    }

    #[test]
    fn short_work_is_done_several_times_a_submission_and_long_work_a_few_times() {
        let mut most = 0;
        let sample = sample(0.02, |count| {
            most = most.max(count);
            Ok(())
        });
        assert!(most > 1 && sample.unwrap().submissions >= FEWEST);
        let long = super::sample(1e-6, |_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            Ok(())
        });
        let long = long.unwrap();
        assert_eq!((long.submissions, long.together), (FEWEST, 1));
    }
}
