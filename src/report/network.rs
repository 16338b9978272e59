//! A network's picture: its layers from top to bottom, with shapes and parameters, and a line for every branch.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::page::escaped;
use super::text::{count, shape, shortened};
use crate::error::Result;
use crate::nn::{NamedLayer, Network};

/// Height of a row, and of the box in it.
const ROW: usize = 34;
const BOX: usize = 26;
/// Width of a box, and how far one beside the longest path is moved to the right.
const WIDTH: usize = 640;
const INDENTATION: usize = 26;
/// Distance of two lines beside the boxes.
const LANE: usize = 13;
/// Where the first box begins.
const TOP: usize = 30;
/// Characters of a name that fit before the operator.
const NAME: usize = 27;

/// Rows of the picture: inputs, then layers, each with the rows that it reads.
fn rows(network: &Network) -> Vec<Vec<usize>> {
    let inputs = network.inputs.len();
    let names = network.inputs.iter().map(|input| &input.name).chain(network.layers.iter().map(|layer| &layer.name));
    let places: HashMap<&String, usize> = names.enumerate().map(|(row, name)| (name, row)).collect();
    let reads = |(index, layer): (usize, &NamedLayer)| match layer.inputs.as_slice() {
        [] if index == 0 => vec![0],
        [] => vec![inputs + index - 1],
        names => names.iter().filter_map(|name| places.get(name).copied()).collect(),
    };
    (0..inputs).map(|_| Vec::new()).chain(network.layers.iter().enumerate().map(reads)).collect()
}

/// Which rows lie on the longest way to the last one.
fn longest(rows: &[Vec<usize>]) -> Vec<bool> {
    let mut lengths = vec![0; rows.len()];
    for (row, reads) in rows.iter().enumerate() {
        lengths[row] = reads.iter().map(|&read| lengths[read] + 1).max().unwrap_or(0);
    }
    let mut on = vec![false; rows.len()];
    let mut at = rows.len().checked_sub(1);
    while let Some(row) = at {
        on[row] = true;
        // Of two ways of one length, the one that was written first.
        at = rows[row].iter().copied().rev().max_by_key(|&read| lengths[read]);
    }
    on
}

/// A connection between two rows that do not follow each other.
struct Branch {
    from: usize,
    to: usize,
    /// How far to the left it runs, from 0.
    lane: usize,
}

/// The branches, each in the lane nearest to the boxes in which it meets no other.
fn branches(rows: &[Vec<usize>]) -> Vec<Branch> {
    let all = rows.iter().enumerate().flat_map(|(to, reads)| reads.iter().map(move |&from| (from, to)));
    let mut far: Vec<(usize, usize)> = all.filter(|(from, to)| from + 1 != *to).collect();
    far.sort_by_key(|&(from, to)| (to - from, from));
    let mut placed: Vec<Branch> = Vec::new();
    for (from, to) in far {
        let free =
            |lane: &usize| placed.iter().all(|other| other.lane != *lane || other.to <= from || to <= other.from);
        let lane = (0..).find(free).unwrap_or(0);
        placed.push(Branch { from, to, lane });
    }
    placed
}

/// The colour of a layer's kind.
fn colour(kind: &str) -> &'static str {
    match kind {
        _ if kind.starts_with("conv2d") => "c0",
        "linear" => "c3",
        _ if kind.contains("norm") && kind != "log_softmax" => "c2",
        _ if kind.contains("pool") => "c1",
        "add" | "mul" | "concat" => "text",
        _ => "c4",
    }
}

/// The picture, as SVG inside a page.
///
/// # Errors
/// Whatever [`Network::summary`] reports.
pub fn picture(network: &Network) -> Result<String> {
    let (summary, rows) = (network.summary(1)?, rows(network));
    let (on, branches) = (longest(&rows), branches(&rows));
    let lanes = branches.iter().map(|branch| branch.lane + 1).max().unwrap_or(0);
    let left = LANE * lanes + 14;
    let width = left + INDENTATION + WIDTH + 8;
    let column = |row: usize| left + if on[row] { 0 } else { INDENTATION };
    let top = |row: usize| TOP + ROW * row;
    let mut svg = format!(
        "<svg class=\"network\" viewBox=\"0 0 {width} {}\" width=\"{width}\" role=\"img\" aria-label=\"layers of {}, from the image \
         to the answer\">\n",
        TOP + ROW * rows.len() + 4,
        escaped(&network.name)
    );
    let headings = [
        (14, "start", "layer"),
        (230, "start", "operator"),
        (470, "end", "output (h×w×c)"),
        (626, "end", "parameters"),
    ];
    for (x, anchor, heading) in headings {
        let _ =
            write!(svg, "<text class=\"axis\" x=\"{}\" y=\"16\" text-anchor=\"{anchor}\">{heading}</text>", left + x);
    }
    for branch in &branches {
        let lane = left - 8 - LANE * branch.lane;
        let (from, to) = (top(branch.from) + BOX / 2 + 5, top(branch.to) + BOX / 2 - 5);
        let _ = write!(
            svg,
            "<path class=\"branch\" d=\"M{} {from}H{}Q{lane} {from} {lane} {}V{}Q{lane} {to} {} {to}H{}\"/>",
            column(branch.from),
            lane + 5,
            from + 5,
            to - 5,
            lane + 5,
            column(branch.to) - 5
        );
        let _ = writeln!(svg, "<path class=\"head\" d=\"M{} {}l-6 -3.5v7z\"/>", column(branch.to), to);
    }
    for (to, reads) in rows.iter().enumerate().filter(|(to, reads)| *to > 0 && reads.contains(&(to - 1))) {
        let x = column(to.max(1)).max(column(reads.iter().copied().max().unwrap_or(0))) + 20;
        let end = top(to);
        let _ = write!(svg, "<path class=\"branch\" d=\"M{x} {}V{}\"/>", top(to - 1) + BOX, end - 4);
        let _ = writeln!(svg, "<path class=\"head\" d=\"M{x} {end}l-3.5 -6h7z\"/>");
    }
    let inputs = network.inputs.iter().map(|input| (input.name.as_str(), "input", input.shape.clone(), 0));
    let layers = summary
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.kind.trim_end_matches("_eval"), row.output[1..].to_vec(), row.parameters));
    for (row, (name, kind, output, parameters)) in inputs.chain(layers).enumerate() {
        let (x, y) = (column(row), top(row));
        let base = y + 18;
        let parameters = if parameters == 0 { String::new() } else { count(parameters as u64) };
        let _ = writeln!(
            svg,
            "<g><title>{0}: {kind}, {1}</title><rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{BOX}\" rx=\"5\"/>\
             <rect x=\"{x}\" y=\"{y}\" width=\"5\" height=\"{BOX}\" rx=\"2\" fill=\"var(--{2})\"/><text class=\"name\" x=\"{3}\" \
             y=\"{base}\">{4}</text><text x=\"{5}\" y=\"{base}\">{kind}</text><text x=\"{6}\" y=\"{base}\" text-anchor=\"end\">{1}</text>\
             <text x=\"{7}\" y=\"{base}\" text-anchor=\"end\">{parameters}</text></g>",
            escaped(name),
            shape(&output),
            colour(kind),
            x + 14,
            escaped(&shortened(name, NAME)),
            left + 230,
            left + 470,
            left + 626
        );
    }
    Ok(svg + "</svg>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::shipped;

    #[test]
    fn every_layer_of_every_shipped_network_has_its_box_and_every_connection_its_line() {
        for name in shipped::NAMES {
            let network = shipped::network(name, [32, 32, 3], 10).unwrap();
            let (svg, rows) = (picture(&network).unwrap(), rows(&network));
            assert_eq!(svg.matches("class=\"box\"").count(), network.layers.len() + 1, "{name}");
            let connections: usize = rows.iter().map(Vec::len).sum();
            assert_eq!(svg.matches("class=\"branch\"").count(), connections, "{name}");
            assert!(!svg.contains("http"), "{name}");
        }
    }

    #[test]
    fn branches_that_overlap_run_beside_each_other() {
        // 0 → 1 → 2 → 3 → 4 with shortcuts 0 → 2, 2 → 4 and 0 → 4.
        let rows = [vec![], vec![0], vec![1, 0], vec![2], vec![3, 2, 0]];
        let lanes: Vec<[usize; 3]> = branches(&rows).iter().map(|b| [b.from, b.to, b.lane]).collect();
        assert_eq!(lanes, [[0, 2, 0], [2, 4, 0], [0, 4, 1]]);
        assert_eq!(longest(&rows), [true; 5]);
        // What is on the shorter way to row 3 stands aside.
        assert_eq!(longest(&[vec![], vec![0], vec![1], vec![0], vec![2, 3]]), [true, true, true, false, true]);
    }
}
