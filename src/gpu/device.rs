//! Adapters and devices: what there is, which one `auto` takes and why, and what the chosen one can do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use super::backend::BackendChoice;
use super::caps::Caps;
use super::pipeline::Kernels;
use super::poll::Poller;
use super::trust::Register;
use super::workgroup_memory;
use crate::error::{Error, Result};

/// One adapter, as `wgrad devices` shows it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AdapterSummary {
    /// Position in the list; what `--device INDEX` means.
    pub index: usize,
    /// The driver's name for it.
    pub name: String,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `CPU` or `other`.
    pub kind: &'static str,
    /// `vulkan`, `metal`, `dx12`, `gl`.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Smallest and largest subgroup size; zeros where there are no subgroups.
    pub subgroup: [u32; 2],
    /// Bytes of one storage binding.
    pub max_binding_bytes: u64,
    /// Bytes of one buffer.
    pub max_buffer_bytes: u64,
    /// Bytes of workgroup memory.
    pub max_workgroup_bytes: u32,
    /// Invocations of a workgroup.
    pub max_invocations: u32,
    /// Storage buffers of one kernel.
    pub max_storage_buffers: u32,
    /// `shader-f16`, `subgroups`, `timestamps`, as far as there are.
    pub features: Vec<&'static str>,
    /// Whether `auto` takes it.
    pub auto: bool,
}

/// An open device with its queue. Cheap to clone.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
    /// As plans are to see it.
    caps: Caps,
}

struct Inner {
    handle: wgpu::Adapter,
    adapter: AdapterSummary,
    why: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    failure: Arc<Mutex<Option<String>>>,
    kernels: Kernels,
    verdicts: Mutex<HashMap<String, bool>>,
    register: Register,
    workgroup_memory: workgroup_memory::Slot,
    poller: Poller,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.inner.adapter.name)
    }
}

/// Discrete before integrated before virtual before software; the native API before a layer over it.
fn rank(info: &wgpu::AdapterInfo) -> (u8, u8) {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    let backend = match info.backend {
        wgpu::Backend::Vulkan | wgpu::Backend::Metal => 0,
        wgpu::Backend::Dx12 => 1,
        _ => 2,
    };
    (kind, backend)
}

fn kind(device_type: wgpu::DeviceType) -> &'static str {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "CPU",
        wgpu::DeviceType::Other => "other",
    }
}

fn summary(index: usize, auto: bool, adapter: &wgpu::Adapter) -> AdapterSummary {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let named = [
        (wgpu::Features::SUBGROUP, "subgroups"),
        (wgpu::Features::SHADER_F16, "shader-f16"),
        (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
    ];
    let subgroups = features.contains(wgpu::Features::SUBGROUP);
    AdapterSummary {
        index,
        name: info.name,
        kind: kind(info.device_type),
        backend: info.backend.to_str().to_owned(),
        driver: [info.driver, info.driver_info].join(" ").trim().to_owned(),
        subgroup: if subgroups { [info.subgroup_min_size, info.subgroup_max_size] } else { [0, 0] },
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        features: named.iter().filter(|(feature, _)| features.contains(*feature)).map(|(_, name)| *name).collect(),
        auto,
    }
}

fn instance(backend: BackendChoice) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backend.flags();
    // Explicit, because the default validates every indirect dispatch with one of its own.
    descriptor.flags = if cfg!(debug_assertions) { wgpu::InstanceFlags::DEBUG } else { wgpu::InstanceFlags::empty() };
    wgpu::Instance::new(descriptor)
}

async fn adapters(backend: BackendChoice) -> (wgpu::Instance, Vec<wgpu::Adapter>, Option<usize>) {
    let instance = instance(backend);
    let adapters = instance.enumerate_adapters(backend.flags()).await;
    let auto = (0..adapters.len()).min_by_key(|&i| rank(&adapters[i].get_info()));
    (instance, adapters, auto)
}

/// Every adapter of the machine that the backends offer.
pub async fn list(backend: BackendChoice) -> Vec<AdapterSummary> {
    let (_instance, adapters, auto) = adapters(backend).await;
    adapters.iter().enumerate().map(|(index, adapter)| summary(index, auto == Some(index), adapter)).collect()
}

/// What to tell somebody whose machine has no adapter.
pub const NO_ADAPTER: &str = "no GPU adapter was found; install a Vulkan driver (Debian and Ubuntu: `apt-get install \
     mesa-vulkan-drivers`, Fedora: `dnf install mesa-vulkan-drivers`, Arch: `pacman -S vulkan-swrast`)";

impl Gpu {
    /// Opens the adapter that `auto`, an index of [`list`] or (part of) a name means.
    pub async fn open(name: &str, backend: BackendChoice) -> Result<Self> {
        Self::open_within(name, backend, u64::MAX).await
    }

    /// The same with storage bindings of at most so many bytes: an adapter that is smaller than it is.
    pub async fn open_within(name: &str, backend: BackendChoice, most_binding_bytes: u64) -> Result<Self> {
        let (_instance, adapters, auto) = adapters(backend).await;
        let Some(auto) = auto else { return Err(Error::Device(NO_ADAPTER.into())) };
        let (index, why) = choose(name, &adapters, auto)?;
        let adapter = &adapters[index];
        let mut limits = adapter.limits();
        limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(most_binding_bytes);
        Self::connect(adapter, limits, summary(index, index == auto, adapter), why).await
    }

    /// Opens a device on an adapter.
    async fn connect(
        adapter: &wgpu::Adapter,
        limits: wgpu::Limits,
        summary: AdapterSummary,
        why: String,
    ) -> Result<Self> {
        let wanted = wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: adapter.features() & wanted,
            required_limits: limits,
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| Error::Device(format!("{} refused to open: {error}", adapter.get_info().name)))?;
        let failure = Arc::new(Mutex::new(None));
        watch(&device, &failure);
        let (info, limits) = (adapter.get_info(), device.limits());
        let feature = device.features().contains(wgpu::Features::SUBGROUP);
        // What an entry point is told of its subgroup in a struct, naga 30 writes without semantics in HLSL.
        let subgroups = feature && info.backend != wgpu::Backend::Dx12;
        let one_size = info.subgroup_min_size == info.subgroup_max_size;
        let caps = Caps {
            cpu: info.device_type == wgpu::DeviceType::Cpu,
            subgroups,
            subgroup: (feature && one_size).then_some(info.subgroup_min_size),
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
            max_invocations: limits.max_compute_invocations_per_workgroup,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            max_texture_side: limits.max_texture_dimension_2d,
        };
        let poller = Poller::start(device.clone());
        let (kernels, verdicts, register, workgroup_memory) = Default::default();
        Ok(Self {
            caps,
            inner: Arc::new(Inner {
                handle: adapter.clone(),
                adapter: summary,
                why,
                device,
                queue,
                failure,
                kernels,
                verdicts,
                register,
                workgroup_memory,
                poller,
            }),
        })
    }

    /// Another device on the same adapter, as plans see this one: with a queue and kernels of its own, and no proofs yet.
    /// Under Vulkan it fails by itself; elsewhere it may share what it stands on.
    pub fn another(&self) -> Result<Self> {
        let Inner { handle, adapter, why, device, .. } = &*self.inner;
        let opened = pollster::block_on(Self::connect(handle, device.limits(), adapter.clone(), why.clone()))?;
        opened.set_trust(self.trust());
        Ok(Self { caps: self.caps, ..opened })
    }

    /// A device shared by all callers in this process that open `auto`; for tests, which are many and short.
    pub fn shared() -> Result<Self> {
        static SHARED: OnceLock<Result<Gpu, String>> = OnceLock::new();
        let open = || pollster::block_on(Self::open("auto", BackendChoice::Auto)).map_err(|error| error.to_string());
        SHARED.get_or_init(open).clone().map_err(Error::Device)
    }

    /// The adapter.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.inner.adapter
    }

    /// Why this adapter was taken, as a sentence's end: "the only adapter".
    pub fn why(&self) -> &str {
        &self.inner.why
    }

    /// What it can do.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// The same device, for which plans are made as for a GPU: so a driver that computes on a processor, where other kernels are
    /// fast, can be asked whether a GPU's plan is right.
    pub fn as_gpu(&self) -> Self {
        Self { caps: Caps { cpu: false, ..self.caps }, ..self.clone() }
    }

    /// The same device, for which plans are made as for one without subgroups.
    pub fn without_subgroups(&self) -> Self {
        Self { caps: Caps { subgroups: false, subgroup: None, ..self.caps }, ..self.clone() }
    }

    /// wgpu's device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// wgpu's queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// The compiled kernels, shared by all sessions of this device.
    pub fn kernels(&self) -> &Kernels {
        &self.inner.kernels
    }

    /// The verdict on `question`, found with `find` when it is asked for the first time on this device.
    pub fn remember(&self, question: &str, find: impl FnOnce() -> Result<bool>) -> Result<bool> {
        let verdicts = || self.inner.verdicts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(&verdict) = verdicts().get(question) {
            return Ok(verdict);
        }
        let verdict = find()?;
        verdicts().insert(question.to_owned(), verdict);
        Ok(verdict)
    }

    pub(super) fn workgroup_memory(&self) -> &workgroup_memory::Slot {
        &self.inner.workgroup_memory
    }

    pub(super) fn register(&self) -> &Register {
        &self.inner.register
    }

    /// Tells the poll thread that something was asked for.
    pub(super) fn wake(&self) {
        self.inner.poller.wake();
    }

    /// The first failure, if there was one: after it nothing on this device is trusted.
    pub fn check(&self) -> Result<()> {
        let failure = self.inner.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |text| Err(Error::Gpu(text.clone())))
    }
}

fn choose(name: &str, adapters: &[wgpu::Adapter], auto: usize) -> Result<(usize, String)> {
    if name == "auto" {
        let why = match adapters.len() {
            1 => "the only adapter".to_owned(),
            n => format!("the first of {n} adapters in the order discrete, integrated, virtual, software"),
        };
        return Ok((auto, why));
    }
    let known = || {
        let names = adapters.iter().enumerate().map(|(i, a)| format!("{i}: {}", a.get_info().name));
        names.collect::<Vec<_>>().join(", ")
    };
    if let Ok(index) = name.parse::<usize>() {
        return match index < adapters.len() {
            true => Ok((index, format!("asked for by --device {index}"))),
            false => Err(Error::Device(format!("there is no adapter {index}; there are {}", known()))),
        };
    }
    let wanted = name.to_lowercase();
    let found = adapters.iter().position(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted));
    match found {
        Some(index) => Ok((index, format!("asked for by --device {name}"))),
        None => {
            Err(Error::Device(format!("no adapter's name contains `{name}`; use auto, cpu, or one of {}", known())))
        }
    }
}

/// Device loss and errors outside a scope arrive on other threads; the default handler would panic there.
fn watch(device: &wgpu::Device, failure: &Arc<Mutex<Option<String>>>) {
    let note = |failure: &Arc<Mutex<Option<String>>>, text: String| {
        let mut slot = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        slot.get_or_insert(text);
    };
    let lost = failure.clone();
    device.set_device_lost_callback(move |reason, text| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            note(&lost, format!("the device was lost ({text})"));
        }
    });
    let uncaptured = failure.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let text = match &error {
            wgpu::Error::OutOfMemory { .. } => "it is out of memory; use a smaller batch".to_owned(),
            other => other.to_string(),
        };
        note(&uncaptured, text);
    }));
}
