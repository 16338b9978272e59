//! Graphics APIs by their names.

use crate::error::{Error, Result};

/// Which graphics APIs to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// Vulkan, Metal and DX12, whichever the machine has; never OpenGL.
    #[default]
    Auto,
    /// Vulkan alone.
    Vulkan,
    /// Metal alone.
    Metal,
    /// DirectX 12 alone.
    Dx12,
    /// OpenGL alone; needs the crate feature `gl`.
    Gl,
}

impl BackendChoice {
    pub(super) fn flags(self) -> wgpu::Backends {
        match self {
            Self::Auto => wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12,
            Self::Vulkan => wgpu::Backends::VULKAN,
            Self::Metal => wgpu::Backends::METAL,
            Self::Dx12 => wgpu::Backends::DX12,
            Self::Gl => wgpu::Backends::GL,
        }
    }
}

impl std::str::FromStr for BackendChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "vulkan" | "vk" => Ok(Self::Vulkan),
            "metal" => Ok(Self::Metal),
            "dx12" | "d3d12" => Ok(Self::Dx12),
            "gl" | "opengl" if cfg!(feature = "gl") => Ok(Self::Gl),
            "gl" | "opengl" => {
                Err(Error::Device("this wgrad was built without OpenGL; build it with `--features gl`".into()))
            }
            _ => Err(Error::Device(format!("there is no backend `{text}`; choose auto, vulkan, metal, dx12 or gl"))),
        }
    }
}
