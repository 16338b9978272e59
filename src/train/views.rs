//! Images as a training run sees them: the nodes of [`super::augment`] alone, on the device, step by step.

use super::augment::Augmentation;
use super::evaluation::upload;
use super::program::{self, Resident};
use crate::data::Split;
use crate::error::Result;
use crate::ops::control;
use crate::session::{Device, Options, Session};
use crate::tensor::Tensor;
use crate::verify::trust;

/// Name of the images in the session.
const NAME: &str = "views";

/// A few images, and a device that changes them.
pub struct Views {
    session: Session,
    seen: String,
}

impl Views {
    /// Prepares for these images, which are one batch: mixup takes the next of them, after the last one the first.
    ///
    /// # Errors
    /// Where the images cannot be changed so, and what the device reports.
    pub fn new(device: &Device, images: &Split, augment: &Augmentation, seed: u64) -> Result<Self> {
        let resident = Resident::new(NAME, images.len(), images.shape, device.max_binding_bytes());
        let graph = program::augment(&resident, augment, seed)?;
        let mut session = trust::session(device, vec![graph], Options::default())?;
        upload(&mut session, &resident, images)?;
        session.write(&format!("{NAME}.control"), &Tensor::u32([control::LEN], vec![0; control::LEN]))?;
        Ok(Self { session, seen: format!("{NAME}.seen") })
    }

    /// The images as the next step sees them, from the first step on: bytes `[n, h, w, c]`.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn next(&mut self) -> Result<Vec<u8>> {
        let read = self.session.run(0, 1, &[&self.seen])?.wait().await?;
        Ok(read[0].floats().iter().map(|level| (level * 255.0).round() as u8).collect())
    }
}

/// The first images of each class by turns, so many in all, or all that there are.
pub fn of_each_class(split: &Split, count: usize) -> Result<Split> {
    let mut met = std::collections::BTreeMap::new();
    // How many of its class come before it, then the class.
    let mut order: Vec<(usize, u32, usize)> = Vec::with_capacity(split.len());
    for (index, &label) in split.labels.iter().enumerate() {
        let before = met.entry(label).or_insert(0);
        order.push((*before, label, index));
        *before += 1;
    }
    order.sort_unstable();
    order.truncate(count);
    let images = order.iter().flat_map(|&(_, _, index)| split.image(index)).copied().collect();
    Split::new(images, order.iter().map(|&(_, label, _)| label).collect(), split.shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six images of 2×2 pixels in two classes; image i is made of 40·i.
    fn images() -> Split {
        Split::new((0..24).map(|i| i / 4 * 40).collect(), vec![1, 1, 0, 1, 0, 0], [2, 2, 1]).unwrap()
    }

    #[test]
    fn classes_take_turns() {
        let few = of_each_class(&images(), 3).unwrap();
        assert_eq!(few.labels, [0, 1, 0]);
        assert_eq!([0, 1, 2].map(|i| few.image(i)[0]), [80, 0, 160]);
        assert_eq!(of_each_class(&images(), 100).unwrap().len(), 6);
    }

    #[test]
    fn each_step_is_seen_anew_and_again_with_the_same_seed() {
        let augment = Augmentation { brightness: 0.5, mixup: 1.0, ..Augmentation::default() };
        let steps = |seed: u64| {
            let mut views = Views::new(&Device::Cpu("asked for".into()), &images(), &augment, seed).unwrap();
            [(); 3].map(|()| pollster::block_on(views.next()).unwrap())
        };
        let [first, second, third] = steps(5);
        assert!(first != second && second != third && first.len() == 24);
        assert_eq!(steps(5), [first.clone(), second, third]);
        assert_ne!(steps(6)[0], first);
    }
}
