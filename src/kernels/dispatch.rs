//! What runs: dispatches with their uniforms and bindings, as kernels describe them and sessions record them.

use std::ops::Range;

use super::BASELINE;
use crate::gpu::Module;
use crate::tensor::Spec;

/// A value that a kernel's uniform struct takes, by name; the types must be those that the shader declares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// `u32`
    U32(u32),
    /// `i32`
    I32(i32),
    /// `f32`
    F32(f32),
}

impl From<usize> for Scalar {
    /// Sizes are checked against 2^31 before kernels are made (see [`super::lower`]), so this loses nothing.
    fn from(value: usize) -> Self {
        Self::U32(value as u32)
    }
}

impl From<u32> for Scalar {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<i32> for Scalar {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<f64> for Scalar {
    /// Attributes are float64 on the host, and float32 in every kernel.
    fn from(value: f64) -> Self {
        Self::F32(value as f32)
    }
}

impl From<f32> for Scalar {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

/// What a binding of a kernel is, seen from the node that it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// The node's input of this number.
    Input(usize),
    /// The node's output of this number. For an operator in place this is the storage of the input it updates: bind the
    /// output alone.
    Output(usize),
    /// Scratch memory of this number, as declared in [`Lowered::workspaces`].
    Workspace(usize),
}

/// A buffer, or the copy of one in a texture, given to a shader variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// The variable's name in WGSL.
    pub name: &'static str,
    /// What it is.
    pub operand: Operand,
    /// Elements to bind, or all of them.
    pub range: Option<Range<usize>>,
    /// Whether the variable is a texture, into which the session copies the operand first; see [`super::TEXTURE_WIDTH`].
    pub texture: bool,
}

/// How much of a kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// At least so many invocations of a kernel that rebuilds its linear index (`shaders/shared/grid.wgsl`); the session
    /// folds the workgroups into two dimensions where one is not enough.
    Invocations(usize),
    /// So many workgroups of a kernel that rebuilds its linear workgroup index (`shaders/shared/grid.wgsl`), folded likewise.
    Workgroups(usize),
}

/// One dispatch: a kernel and everything it is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// The shader.
    pub module: Module,
    /// Its entry point.
    pub entry: &'static str,
    /// Members of its uniform struct `params`, by name, in any order, none missing.
    pub uniforms: Vec<(&'static str, Scalar)>,
    /// Its storage buffers, by name.
    pub bindings: Vec<Binding>,
    /// How much of it runs.
    pub extent: Extent,
    /// The most loop iterations of one invocation, all loops together: some drivers stop silently at 65,535.
    pub trips: usize,
}

impl Dispatch {
    /// Entry point `entry` of the shader file `file`; the setters below complete it.
    pub fn new(file: &'static str, entry: &'static str) -> Self {
        let (uniforms, bindings) = (Vec::new(), Vec::new());
        Self { module: Module::new(file), entry, uniforms, bindings, extent: Extent::Invocations(0), trips: 1 }
    }

    /// Sets a member of the uniform struct.
    pub fn set(mut self, name: &'static str, value: impl Into<Scalar>) -> Self {
        self.uniforms.push((name, value.into()));
        self
    }

    /// Binds an operand.
    pub fn bind(mut self, name: &'static str, operand: Operand) -> Self {
        self.bindings.push(Binding { name, operand, range: None, texture: false });
        self
    }

    /// Binds `b` and says with `bias` whether it is one. Something must be bound: without a bias the weights `w`, which are then
    /// not read as one.
    pub fn bias(self, bias: Option<Operand>, w: Operand) -> Self {
        self.set("bias", usize::from(bias.is_some())).bind("b", bias.unwrap_or(w))
    }

    /// Binds a texture that holds a copy of an operand as it is when this dispatch runs; see [`super::TEXTURE_WIDTH`].
    pub fn bind_texture(mut self, name: &'static str, operand: Operand) -> Self {
        self.bindings.push(Binding { name, operand, range: None, texture: true });
        self
    }

    /// Binds some elements of an operand; the range must start at a multiple of 64 elements.
    pub fn bind_range(mut self, name: &'static str, operand: Operand, range: Range<usize>) -> Self {
        self.bindings.push(Binding { name, operand, range: Some(range), texture: false });
        self
    }

    /// Replaces a top-level constant or alias of the shader.
    pub fn constant(mut self, name: &'static str, value: impl ToString) -> Self {
        self.module.constants.push((name, value.to_string()));
        self
    }

    /// Lets `#import name` mean `file`, whatever it meant before.
    pub fn link(mut self, name: &'static str, file: &'static str) -> Self {
        self.module.links.retain(|(known, _)| *known != name);
        self.module.links.push((name, file));
        self
    }

    /// Runs at least so many invocations.
    pub fn invocations(mut self, count: usize) -> Self {
        self.extent = Extent::Invocations(count);
        self
    }

    /// Runs so many workgroups.
    pub fn workgroups(mut self, count: usize) -> Self {
        self.extent = Extent::Workgroups(count);
        self
    }

    /// Declares the most loop iterations of one invocation.
    pub fn trips(mut self, count: usize) -> Self {
        self.trips = count;
        self
    }

    /// Declares so many more.
    pub fn more_trips(mut self, count: usize) -> Self {
        self.trips += count;
        self
    }
}

/// A node turned into dispatches.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    /// The variant that was taken, one of [`super::names`].
    pub variant: &'static str,
    /// Scratch buffers, alive during this node only.
    pub workspaces: Vec<Spec>,
    /// What runs, in order.
    pub dispatches: Vec<Dispatch>,
}

impl Lowered {
    /// The baseline variant, without scratch memory.
    pub fn baseline(dispatches: Vec<Dispatch>) -> Self {
        Self { variant: BASELINE, workspaces: Vec::new(), dispatches }
    }

    /// Adds the dispatches of a part that was lowered as a node of its own; `place` says what its inputs and outputs are here.
    pub(super) fn append(&mut self, part: Self, place: impl Fn(Operand) -> Operand) {
        let before = self.workspaces.len();
        self.workspaces.extend(part.workspaces);
        for mut dispatch in part.dispatches {
            for binding in &mut dispatch.bindings {
                binding.operand = match binding.operand {
                    Operand::Workspace(own) => Operand::Workspace(before + own),
                    other => place(other),
                };
            }
            self.dispatches.push(dispatch);
        }
    }
}
