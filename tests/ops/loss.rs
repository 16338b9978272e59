use wgrad::Tensor;
use wgrad::ops::{MseLoss, MseLossGrad, SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad};

use crate::runner::{case, check, floats, integers, noise};

#[test]
fn cross_entropy_of_logits_and_labels() {
    let sure = {
        // Every row is sure of its label: the losses are almost 0, and so are the gradients.
        let mut data = noise(9, [6, 10]).floats().to_vec();
        (0..6).for_each(|row| data[row * 10 + row] += 14.0);
        Tensor::float([6, 10], data)
    };
    let logits = [
        ("ten classes", noise(1, [64, 10]), None),
        ("one row", noise(2, [1, 5]), None),
        ("one class", noise(3, [3, 1]), None),
        ("odd", floats(4, [33, 31], -5.0, 5.0), None),
        ("large logits", floats(5, [5, 65], -1e4, 1e4), None),
        ("more classes than a block", noise(6, [3, 1000]), None),
        ("two stages", noise(7, [1500, 3]), None),
        ("sure", sure, Some(Tensor::u32([6], (0..6).collect()))),
    ];
    let mut cases = Vec::new();
    for (name, logits, labels) in logits {
        let [n, k] = [logits.shape[0], logits.shape[1]];
        let labels = labels.unwrap_or_else(|| integers(8, [n], k as u32));
        for label_smoothing in [0.0, 0.1] {
            let name = format!("{name}, smoothing {label_smoothing}");
            let inputs = vec![logits.clone(), labels.clone()];
            cases.push(case(&name, SoftmaxCrossEntropy { label_smoothing }, inputs));
            let inputs = vec![logits.clone(), labels.clone(), Tensor::float([1], vec![0.37])];
            cases.push(case(&name, SoftmaxCrossEntropyGrad { label_smoothing }, inputs));
        }
    }
    check(cases);
}

#[test]
fn mean_squared_error() {
    let mut cases = Vec::new();
    for shape in [vec![1], vec![5, 3], vec![257], vec![3, 7, 5, 65], vec![70_001], vec![300, 1001]] {
        let (x, target) = (noise(1, shape.clone()), noise(2, shape.clone()));
        let name = format!("{shape:?}");
        cases.push(case(&name, MseLoss, vec![x.clone(), target.clone()]));
        cases.push(case(&name, MseLossGrad, vec![x, target, Tensor::float([1], vec![-1.7])]));
    }
    check(cases);
}
