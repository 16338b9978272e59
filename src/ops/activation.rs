/// `x [..]` → `y [..]`, element by element. `f32` attributes keep the operator's bits the same on every device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    Relu,
    LeakyRelu { slope: f32 },
    Elu { alpha: f32 },
    Sigmoid,
    Tanh,
    Silu,
    Gelu,
    GeluTanh,
    Softplus,
    HardSwish,
}

/// `saved [..]`, `dy [..]` → `dx [..]`, where `saved` is the forward output for those activations whose derivative is
/// a function of it (relu, leaky_relu, elu, sigmoid, tanh) and the forward input for the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivationGrad(pub Activation);
