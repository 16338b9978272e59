//! What a device can do, as plans see it.

/// What a plan needs to know of a device; nothing else of it matters to a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Whether the adapter computes on the CPU (lavapipe, SwiftShader, WARP): other kernels are fast there.
    pub cpu: bool,
    /// Whether workgroups may add up through subgroups, of whatever sizes.
    pub subgroups: bool,
    /// The subgroup size, where subgroups exist and have one size only.
    pub subgroup: Option<u32>,
    /// Bytes that one storage binding may span.
    pub max_binding_bytes: u64,
    /// Bytes of workgroup memory.
    pub max_workgroup_bytes: u32,
    /// Invocations of a workgroup.
    pub max_invocations: u32,
    /// Storage buffers that a kernel may bind.
    pub max_storage_buffers: u32,
    /// Workgroups in one dimension of a dispatch.
    pub max_workgroups: u32,
    /// Texels in a row, and rows, of a texture.
    pub max_texture_side: u32,
}

impl Caps {
    /// WebGPU's default limits: what the baseline variants stay inside.
    pub const DEFAULT: Self = Self {
        cpu: false,
        subgroups: false,
        subgroup: None,
        max_binding_bytes: 128 << 20,
        max_workgroup_bytes: 16 << 10,
        max_invocations: 256,
        max_storage_buffers: 8,
        max_workgroups: 65_535,
        max_texture_side: 8192,
    };

    /// The same with as many storage buffers as desktop GPUs bind under Vulkan, DX12 and Metal.
    pub const DESKTOP: Self = Self { max_storage_buffers: 16, ..Self::DEFAULT };

    /// Loop iterations that one invocation may make. Older lavapipe ends every loop after 65,535 iterations, counted over
    /// all loops of the invocation, without a word.
    pub fn most_trips(&self) -> usize {
        if self.cpu { 60_000 } else { usize::MAX }
    }
}
