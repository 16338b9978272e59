//! The single findings: each looks at the same readings for one thing.

use serde_json::{Map, Value};

use super::cures;
use super::measured::{Flow, ParameterFlow};
use super::thresholds::Thresholds;
use super::verdict::{Facts, Finding, Kind};

/// A weighted layer's figures over the readings.
struct LayerFigures<'a> {
    layer: &'a str,
    /// The norm of its weight's gradient.
    gradient: f64,
    /// ‖update‖ / ‖weights‖; none where the weights are zero.
    ratio: Option<f64>,
    /// That ratio at the learning rate that was asked for.
    at_full_rate: Option<f64>,
}

/// The middle one of some numbers.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len().checked_sub(1)? / 2;
    Some(match numbers.len() % 2 {
        1 => numbers[middle],
        _ => (numbers[middle] + numbers[middle + 1]) / 2.0,
    })
}

fn weight<'a>(flow: &'a Flow, layer: &str) -> Option<&'a ParameterFlow> {
    flow.parameters.iter().find(|parameter| parameter.name.strip_suffix(".weight") == Some(layer))
}

fn layers<'a>(facts: &'a Facts, window: &[Flow]) -> Vec<LayerFigures<'a>> {
    let weighted = facts.layers.iter().filter(|layer| layer.weighted);
    let figures = weighted.filter_map(|layer| {
        let layer = layer.name.as_str();
        let over = |of: &dyn Fn(&ParameterFlow, &Flow) -> Option<f64>| {
            median(window.iter().filter_map(|flow| of(weight(flow, layer)?, flow)).collect())
        };
        Some(LayerFigures {
            layer,
            gradient: over(&|weight, _| Some(weight.gradient.norm))?,
            ratio: over(&|weight, _| weight.ratio()),
            at_full_rate: over(&|weight, flow| {
                (flow.lr > 0.0).then(|| weight.ratio().map(|r| r * facts.lr / flow.lr))?
            }),
        })
    });
    figures.collect()
}

/// The norm of the gradient of all parameters.
fn whole(flow: &Flow) -> f64 {
    flow.parameters.iter().map(|parameter| parameter.gradient.norm).fold(0.0, f64::hypot)
}

/// A number as sentences have it.
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (0.01..1000.0).contains(&size) => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.1e}"),
    }
}

/// Some layers as sentences have them: all of a few, the ends of many.
pub(super) fn list(layers: &[String]) -> String {
    match layers {
        [] => String::new(),
        [one] => one.clone(),
        [first, second] => format!("{first} and {second}"),
        [first, second, third] => format!("{first}, {second} and {third}"),
        [first, .., last] => format!("{first} to {last} ({} layers)", layers.len()),
    }
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = if percent < 0.95 { 2 } else { usize::from(percent < 99.95) };
    format!("{percent:.digits$} %")
}

fn numbers(pairs: &[(&str, f64)]) -> Map<String, Value> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

/// Everything that is to be said, the gravest first.
pub(super) fn all(facts: &Facts, thresholds: &Thresholds, first: &Flow, window: &[Flow]) -> Vec<Finding> {
    let figures = layers(facts, window);
    let mut found: Vec<Finding> = Vec::new();
    let converged = converged(facts, thresholds, window);
    found.extend(exploding(facts, thresholds, first, window, &figures));
    found.extend(dead(facts, thresholds, window));
    // Where there is nothing left to learn, flat activations and small gradients are no troubles.
    if converged.is_none() {
        found.extend(saturated(facts, thresholds, window));
        found.extend(vanishing(facts, thresholds, &figures));
        found.extend(stuck(facts, thresholds, &figures));
    }
    found.extend(too_hot(facts, thresholds, &figures));
    found.extend(converged);
    found.sort_by_key(|finding| finding.kind);
    if found.is_empty() {
        found.push(healthy(&figures));
    }
    found
}

/// The norm of the first weighted layer's gradient over that of the last one's, each its median over some readings; none without
/// readings of two such layers.
pub fn first_over_last(facts: &Facts, readings: &[Flow]) -> Option<f64> {
    decline(&layers(facts, readings)).map(|(ratio, _)| ratio)
}

/// How the norms of neighbouring layers relate: the first layer's to the last one's, and the geometric mean of what each keeps
/// of what comes to it.
fn decline(figures: &[LayerFigures]) -> Option<(f64, f64)> {
    let [first, .., last] = figures else { return None };
    // Where nothing comes to any layer, nothing is left of it.
    let ratio = if first.gradient == 0.0 { 0.0 } else { first.gradient / last.gradient };
    Some((ratio, ratio.powf(1.0 / (figures.len() - 1) as f64)))
}

fn vanishing(facts: &Facts, thresholds: &Thresholds, figures: &[LayerFigures]) -> Option<Finding> {
    let (ratio, kept) = decline(figures)?;
    if ratio >= thresholds.vanishing {
        return None;
    }
    let (first, last) = (&figures[0], &figures[figures.len() - 1]);
    let below = figures.iter().filter(|layer| layer.gradient <= thresholds.vanishing * last.gradient);
    let layers: Vec<String> = below.map(|layer| layer.layer.to_owned()).collect();
    let words = match first.gradient == 0.0 {
        true => {
            format!("no gradient at all reaches {}, and {} gets {}", first.layer, last.layer, figure(last.gradient))
        }
        false => format!(
            "the gradient of {} is {} times that of {} ({} and {}): each layer loses {} of it; too little reaches {}",
            first.layer,
            figure(ratio),
            last.layer,
            figure(first.gradient),
            figure(last.gradient),
            percent(1.0 - kept),
            list(&layers)
        ),
    };
    let numbers = numbers(&[
        ("first_norm", first.gradient),
        ("last_norm", last.gradient),
        ("first_to_last", ratio),
        ("kept_by_a_layer", kept),
        ("threshold", thresholds.vanishing),
    ]);
    Some(Finding { kind: Kind::Vanishing, cures: cures::vanishing(facts), layers, numbers, words })
}

fn exploding(
    facts: &Facts,
    thresholds: &Thresholds,
    begin: &Flow,
    window: &[Flow],
    figures: &[LayerFigures],
) -> Option<Finding> {
    let last = window.last()?;
    let finding = |layers: Vec<String>, numbers, words| {
        Some(Finding { kind: Kind::Exploding, cures: cures::exploding(facts, whole(last)), layers, numbers, words })
    };
    let broken: Vec<&ParameterFlow> =
        last.parameters.iter().filter(|parameter| parameter.gradient.non_finite > 0).collect();
    if !broken.is_empty() {
        let share = broken.iter().map(|p| p.gradient.share(p.gradient.non_finite)).fold(0.0, f64::max);
        let names: Vec<String> = broken.iter().map(|parameter| parameter.name.clone()).collect();
        let words = format!("up to {} of the gradient of {} is NaN or infinite", percent(share), list(&names));
        return finding(names, numbers(&[("non_finite_share", share)]), words);
    }
    if let Some((ratio, kept)) = decline(figures).filter(|(ratio, _)| *ratio > thresholds.exploding) {
        let (first, end) = (&figures[0], &figures[figures.len() - 1]);
        let above = figures.iter().filter(|layer| layer.gradient > thresholds.exploding * end.gradient);
        let layers: Vec<String> = above.map(|layer| layer.layer.to_owned()).collect();
        let words = format!(
            "the gradient of {} is {} times that of {} ({} and {}): from layer to layer it grows {} times",
            first.layer,
            figure(ratio),
            end.layer,
            figure(first.gradient),
            figure(end.gradient),
            figure(kept)
        );
        let numbers = numbers(&[
            ("first_norm", first.gradient),
            ("last_norm", end.gradient),
            ("first_to_last", ratio),
            ("grown_by_a_layer", kept),
            ("threshold", thresholds.exploding),
        ]);
        return finding(layers, numbers, words);
    }
    let (before, now) = (whole(begin), whole(last));
    let grown = before > 0.0 && now > thresholds.exploding * before && last.loss >= begin.loss;
    if !grown {
        return None;
    }
    let words = format!(
        "the gradient's norm is {}, {} times that of step {}, and the loss went from {} to {}",
        figure(now),
        figure(now / before),
        begin.step,
        figure(begin.loss),
        figure(last.loss)
    );
    let numbers = numbers(&[
        ("norm", now),
        ("norm_at_first", before),
        ("loss", last.loss),
        ("loss_at_first", begin.loss),
        ("threshold", thresholds.exploding),
    ]);
    finding(Vec::new(), numbers, words)
}

fn dead(facts: &Facts, thresholds: &Thresholds, window: &[Flow]) -> Option<Finding> {
    let last = window.last().filter(|flow| flow.images >= thresholds.dead_images)?;
    let counted = last.activations.iter().filter_map(|activation| Some((&activation.layer, activation.units?)));
    let dead: Vec<_> =
        counted.filter(|(_, units)| units.dead as f64 >= thresholds.dead * units.of.max(1) as f64).collect();
    let (worst, most) = dead.iter().max_by(|a, b| (a.1.dead * b.1.of).cmp(&(b.1.dead * a.1.of))).copied()?;
    let layers: Vec<String> = dead.iter().map(|(layer, _)| (*layer).clone()).collect();
    let each: Vec<String> =
        dead.iter().take(3).map(|(layer, units)| format!("{} of {} units of {layer}", units.dead, units.of)).collect();
    let more = if dead.len() > 3 { format!(" and many of {} more layers", dead.len() - 3) } else { String::new() };
    let words = format!("{}{more} were zero for each of {} images", each.join(", "), last.images);
    let mut numbers = numbers(&[("images", last.images as f64), ("threshold", thresholds.dead)]);
    for (layer, units) in &dead {
        numbers.insert(format!("{layer}.dead"), units.dead.into());
        numbers.insert(format!("{layer}.units"), units.of.into());
    }
    numbers.insert("worst".into(), worst.as_str().into());
    numbers.insert("worst_share".into(), (most.dead as f64 / most.of.max(1) as f64).into());
    Some(Finding { kind: Kind::Dead, cures: cures::dead(facts), layers, numbers, words })
}

fn saturated(facts: &Facts, thresholds: &Thresholds, window: &[Flow]) -> Option<Finding> {
    let last = window.last()?;
    let share = |layer: &str| {
        let of = |flow: &Flow| {
            let found = flow.activations.iter().find(|activation| activation.layer == layer)?;
            Some(found.value.share(found.value.saturated))
        };
        median(window.iter().filter_map(of).collect()).unwrap_or(0.0)
    };
    let can = last.activations.iter().filter(|activation| activation.saturates);
    let shares: Vec<(&str, f64)> =
        can.map(|activation| (activation.layer.as_str(), share(&activation.layer))).collect();
    let flat: Vec<_> = shares.into_iter().filter(|(_, share)| *share >= thresholds.saturated).collect();
    let &(worst, most) = flat.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let layers: Vec<String> = flat.iter().map(|(layer, _)| (*layer).to_owned()).collect();
    let words = format!(
        "{} of the outputs of {worst} lie where the derivative is below 1 % of its maximum; concerned: {}",
        percent(most),
        list(&layers)
    );
    let mut numbers = numbers(&[("threshold", thresholds.saturated)]);
    numbers.extend(flat.iter().map(|(layer, share)| (format!("{layer}.saturated"), (*share).into())));
    Some(Finding { kind: Kind::Saturated, cures: cures::saturated(facts, &layers), layers, numbers, words })
}

/// The layers whose ratio is beyond a limit, with the one that is furthest, and all of these ratios as numbers.
type Beyond = (Vec<String>, (String, f64), Map<String, Value>);

fn beyond<'a>(
    figures: &'a [LayerFigures<'a>],
    of: impl Fn(&LayerFigures<'a>) -> Option<f64>,
    is: impl Fn(f64) -> bool,
    largest: bool,
) -> Option<Beyond> {
    let found: Vec<(&str, f64)> =
        figures.iter().filter_map(|layer| Some((layer.layer, of(layer)?))).filter(|(_, ratio)| is(*ratio)).collect();
    let by = |a: &&(&str, f64), b: &&(&str, f64)| a.1.total_cmp(&b.1);
    let &(worst, ratio) = if largest { found.iter().max_by(by) } else { found.iter().min_by(by) }?;
    let layers = found.iter().map(|(layer, _)| (*layer).to_owned()).collect();
    let numbers = found.iter().map(|(layer, ratio)| (format!("{layer}.update_to_weight"), (*ratio).into())).collect();
    Some((layers, (worst.to_owned(), ratio), numbers))
}

fn stuck(facts: &Facts, thresholds: &Thresholds, figures: &[LayerFigures]) -> Option<Finding> {
    let below = |ratio: f64| ratio < thresholds.stuck;
    let (layers, (worst, ratio), mut numbers) = beyond(figures, |layer| layer.at_full_rate, below, false)?;
    let words = format!(
        "a step changes the weights of {worst} by {} of them, less than {}; concerned: {}",
        figure(ratio),
        figure(thresholds.stuck),
        list(&layers)
    );
    numbers.insert("threshold".into(), thresholds.stuck.into());
    let norm = figures.iter().map(|layer| layer.gradient).fold(0.0, f64::hypot);
    Some(Finding { kind: Kind::Stuck, cures: cures::stuck(facts, norm), layers, numbers, words })
}

fn too_hot(facts: &Facts, thresholds: &Thresholds, figures: &[LayerFigures]) -> Option<Finding> {
    let above = |ratio: f64| ratio > thresholds.too_hot;
    let (layers, (worst, ratio), mut numbers) = beyond(figures, |layer| layer.ratio, above, true)?;
    let words = format!(
        "a step changes the weights of {worst} by {} of them, more than {}; concerned: {}",
        figure(ratio),
        figure(thresholds.too_hot),
        list(&layers)
    );
    numbers.insert("threshold".into(), thresholds.too_hot.into());
    Some(Finding {
        kind: Kind::TooHot,
        cures: cures::too_hot(facts, ratio, thresholds.too_hot),
        layers,
        numbers,
        words,
    })
}

fn converged(facts: &Facts, thresholds: &Thresholds, window: &[Flow]) -> Option<Finding> {
    let [least, guessing] = facts.losses();
    let loss = window.iter().map(|flow| flow.loss).sum::<f64>() / window.len() as f64;
    let share = (loss - least) / (guessing - least);
    // Of label smoothing that leaves nothing to learn, nothing can be said.
    if !(share < thresholds.converged && guessing > least) {
        return None;
    }
    let norm = window.last().map_or(0.0, whole);
    let words = format!(
        "the loss is {}, {} of what guessing costs, and so the gradient's norm is {}: there is little left to learn here",
        figure(loss),
        percent(share),
        figure(norm)
    );
    let numbers = numbers(&[
        ("loss", loss),
        ("least_loss", least),
        ("loss_of_guessing", guessing),
        ("norm", norm),
        ("threshold", thresholds.converged),
    ]);
    Some(Finding { kind: Kind::Converged, layers: Vec::new(), cures: cures::converged(), numbers, words })
}

fn healthy(figures: &[LayerFigures]) -> Finding {
    let mut told = numbers(&[]);
    let mut words = String::new();
    if let (Some(first), Some(last)) = (figures.first(), figures.last()) {
        told = numbers(&[("first_norm", first.gradient), ("last_norm", last.gradient)]);
        words = format!("gradients {} ({})", figure(first.gradient), first.layer);
        if let Some((ratio, kept)) = decline(figures) {
            words +=
                &format!(" to {} ({}), {} times from layer to layer", figure(last.gradient), last.layer, figure(kept));
            told.insert("first_to_last".into(), ratio.into());
            told.insert("kept_by_a_layer".into(), kept.into());
        }
    }
    let ratios: Vec<f64> = figures.iter().filter_map(|layer| layer.ratio).collect();
    if let (Some(least), Some(most)) =
        (ratios.iter().copied().reduce(f64::min), ratios.iter().copied().reduce(f64::max))
    {
        words += &format!("; a step changes weights by {} to {} of them", figure(least), figure(most));
        told.insert("least_update_to_weight".into(), least.into());
        told.insert("most_update_to_weight".into(), most.into());
    }
    Finding { kind: Kind::Healthy, layers: Vec::new(), numbers: told, words, cures: Vec::new() }
}
