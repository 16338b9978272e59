//! The only unsafe code of the crate: shader modules without run-time checks.

/// Compiles a shader without bounds checks, loop bounding or division guards, which cost up to half the speed.
///
/// Only for the embedded shaders, and those that the user puts in their place (`WGRAD_SHADERS`) and so vouches for. Plans drop
/// the checks only of programs that were proven on this adapter, with the checks first: `wgrad::verify` runs every case unchecked
/// too, with margins round every buffer that must stay untouched.
#[allow(unsafe_code, reason = "wgpu marks the removal of its checks as unsafe")]
pub(super) fn module(device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    // SAFETY: every index of the shaders is derived from sizes that the host checked against the buffers when it lowered
    // the node; every loop ends by a counter; every divisor is a size of at least 1.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}
