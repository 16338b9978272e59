//! Initial values have the mean, the variance and the shape that their formulas say.

use super::*;

const SHAPE: [usize; 4] = [3, 3, 40, 100];
const FAN: [usize; 2] = [360, 900];

fn draw(init: Init) -> Vec<f64> {
    init.draw("conv1.weight", &SHAPE, FAN, 3).into_iter().map(f64::from).collect()
}

fn moments(values: &[f64]) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let moment = |power: i32| values.iter().map(|v| (v - mean).powi(power)).sum::<f64>() / n;
    (mean, moment(2), moment(4) / moment(2).powi(2))
}

#[test]
fn distributions_have_the_mean_and_the_variance_of_their_formulas() {
    // The fourth moment over the squared variance is 3 for a normal distribution and 9/5 for a uniform one.
    for (init, variance, kurtosis) in [
        (Init::Normal { std: 0.3 }, 0.09f64, 3.0),
        (Init::Uniform { limit: 0.3 }, 0.03, 1.8),
        (Init::GlorotUniform, 2.0 / 1260.0, 1.8),
        (Init::GlorotNormal, 2.0 / 1260.0, 3.0),
        (Init::HeUniform, 2.0 / 360.0, 1.8),
        (Init::HeNormal, 2.0 / 360.0, 3.0),
        (Init::Orthogonal { gain: 2.0 }, 4.0 / 360.0, 3.0),
    ] {
        let (mean, found, shape) = moments(&draw(init));
        assert!(mean.abs() < 0.02 * variance.sqrt(), "{init}: mean {mean}");
        assert!((found / variance - 1.0).abs() < 0.03, "{init}: variance {found}, not {variance}");
        assert!((shape / kurtosis - 1.0).abs() < 0.06, "{init}: kurtosis {shape}, not {kurtosis}");
        let declared = init.deviation(&SHAPE, FAN).powi(2);
        assert!((declared / variance - 1.0).abs() < 1e-12, "{init}: says {declared}");
    }
    let limit = (6.0f64 / 1260.0).sqrt() as f32;
    assert!(draw(Init::GlorotUniform).iter().all(|v| v.abs() <= f64::from(limit)));
    assert!(draw(Init::Constant { value: 0.25 }).iter().all(|&v| v == 0.25));
}

#[test]
fn each_parameter_and_each_seed_draws_numbers_of_its_own() {
    for init in [Init::GlorotUniform, Init::HeNormal, Init::Orthogonal { gain: 1.0 }] {
        let values = |name, seed| init.draw(name, &[4, 6], [6, 4], seed);
        assert_ne!(values("conv1.weight", 3), values("conv2.weight", 3));
        assert_ne!(values("conv1.weight", 3), values("conv1.weight", 4));
    }
}

#[test]
fn the_shorter_side_of_an_orthogonal_matrix_is_orthonormal() {
    for shape in [&[3, 3, 5, 7][..], &[1, 1, 5, 30], &[20, 12], &[12, 20], &[9, 9], &[1, 4]] {
        let (rows, columns) = matrix(shape);
        let values = Init::Orthogonal { gain: 1.5 }.draw("w", shape, [rows, columns], 11);
        let at = |row: usize, column: usize| f64::from(values[row * columns + column]);
        let (count, len) = (rows.min(columns), rows.max(columns));
        for i in 0..count {
            for j in 0..count {
                let product = |k| if rows < columns { at(i, k) * at(j, k) } else { at(k, i) * at(k, j) };
                let found: f64 = (0..len).map(product).sum();
                let wanted = if i == j { 2.25 } else { 0.0 };
                assert!((found - wanted).abs() < 1e-6, "{shape:?}: vectors {i} and {j} have the product {found}");
            }
        }
    }
}

#[test]
fn initialisers_are_read_as_they_are_written() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct File {
        init: Init,
    }
    for init in
        [Init::HeNormal, Init::Normal { std: 0.01 }, Init::Orthogonal { gain: 1.0 }, Init::Constant { value: -1.0 }]
    {
        let file = File { init };
        assert_eq!(toml::from_str::<File>(&toml::to_string(&file).unwrap()).unwrap(), file);
        assert_eq!(toml::from_str::<File>(&format!("init = {init}")).unwrap(), file);
    }
    assert_eq!(toml::from_str::<File>("init = \"orthogonal\"").unwrap().init, Init::Orthogonal { gain: 1.0 });
}
