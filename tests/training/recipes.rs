//! Shipped recipes train.

use wgrad::session::Device;
use wgrad::train::recipe::shipped::ALL;
use wgrad::train::{Schedule, TrainConfig, Trainer};

/// One step of every recipe but that of ResNet-18, which the references take too long for.
fn every_small_recipe_takes_a_step(device: &Device) {
    let data = crate::digits(4, 2);
    for shipped in ALL.into_iter().filter(|shipped| shipped.name != "resnet18") {
        let mut recipe = shipped.recipe().unwrap();
        // A schedule ends here after one step, with a rate that moves no weight.
        recipe.train = TrainConfig { epochs: 1, batch: 4, schedule: Schedule::Constant, ..recipe.train };
        let network = recipe.network(data.train.shape, data.classes.len()).unwrap();
        let mut trainer = Trainer::new(device, &network, &data, &recipe.config(data.train.len())).unwrap();
        let before = pollster::block_on(trainer.state()).unwrap();
        let outcome = pollster::block_on(trainer.fit(|_| {})).unwrap();
        assert!(outcome.steps == 1 && outcome.test.loss.is_finite(), "{}: {outcome:?}", shipped.name);
        let after = pollster::block_on(trainer.state()).unwrap();
        let layout = trainer.layout();
        let still = layout.parameters.iter().filter(|placed| {
            let range = placed.offset..placed.offset + placed.parameter.len();
            before[0][range.clone()] == after[0][range]
        });
        let still: Vec<&str> = still.map(|placed| placed.parameter.name.as_str()).collect();
        assert_eq!(still, [""; 0], "{} left parameters as they were", shipped.name);
    }
}

#[test]
fn every_small_recipe_takes_a_step_on_the_cpu() {
    every_small_recipe_takes_a_step(&crate::cpu());
}

#[test]
fn every_small_recipe_takes_a_step_on_the_gpu() {
    let Some(device) = crate::adapter() else { return };
    every_small_recipe_takes_a_step(&device);
}
