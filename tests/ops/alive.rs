use crate::runner::sweep;

#[test]
fn the_sweep() {
    sweep("alive");
}
