use crate::runner::sweep;

#[test]
fn the_sweep() {
    sweep("batch_norm2d");
}
