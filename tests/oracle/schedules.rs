use wgrad::train::Schedule;
use wgrad::verify::oracle::cases_in;

#[test]
fn every_schedule_case_passes() {
    let cases = cases_in(&super::fixtures("operators")).unwrap();
    let cases: Vec<_> = cases.into_iter().filter(|case| case.op == "lr_schedule").collect();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let get = |name: &str| case.attrs.get(name).and_then(|value| value.as_f64()).unwrap();
        let schedule = match case.attrs["kind"].as_str().unwrap() {
            "step" => Schedule::Step { step_size: get("step_size") as u64, gamma: get("gamma") },
            "exponential" => Schedule::Exponential { gamma: get("gamma") },
            "cosine" => Schedule::Cosine { t_max: get("t_max") as u64, min_lr: get("min_lr") },
            "linear_warmup" => {
                Schedule::LinearWarmup { start_factor: get("start_factor"), warmup_steps: get("warmup_steps") as u64 }
            }
            "one_cycle" => Schedule::OneCycle {
                total_steps: get("total_steps") as u64,
                pct_start: get("pct_start"),
                div_factor: get("div_factor"),
                final_div_factor: get("final_div_factor"),
            },
            other => panic!("unknown schedule {other}"),
        };
        let want = &case.wants["lr"];
        for (t, &want) in want.floats().iter().enumerate() {
            let got = schedule.rate(get("base_lr"), t as u64);
            assert!((got - want).abs() <= 1e-12 * want.abs(), "{} at {t}: {got} instead of {want}", case.name);
        }
    }
}
