// One element at a time: for lengths that four does not divide.

#import finite

alias Elements = f32;
alias Mask = bool;

fn finite(v: Elements) -> Mask {
    return is_finite(v);
}

fn is_no_number(v: Elements) -> Mask {
    return is_nan(v);
}

// The sum of what is one element.
fn sum_of(v: Elements) -> f32 {
    return v;
}
