//! Reading device memory back without stopping the host: copies into staging buffers that are mapped when the GPU gets
//! there. Staging buffers are used again, so a running loop allocates none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::Gpu;
use crate::error::{Error, Result};

/// Staging buffers that wait for their next use, by size.
#[derive(Clone, Default)]
pub struct Staging {
    free: Arc<Mutex<HashMap<u64, Vec<wgpu::Buffer>>>>,
}

/// Bytes on their way from the device.
pub struct Pending {
    gpu: Gpu,
    staging: Staging,
    buffer: wgpu::Buffer,
    arrived: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Staging {
    /// Records copies of `sources` (buffer, byte offset, bytes), one behind the other, into a staging buffer.
    pub fn copy(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        sources: &[(&wgpu::Buffer, u64, u64)],
    ) -> wgpu::Buffer {
        let size = sources.iter().map(|(_, _, bytes)| bytes).sum::<u64>().max(4);
        let make = || {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let buffer = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            // Two of each size from the start: two submissions are in flight, and the second shall allocate nothing.
            free.entry(size).or_insert_with(|| vec![make(), make()]).pop().unwrap_or_else(make)
        };
        let mut at = 0;
        for (source, offset, bytes) in sources {
            encoder.copy_buffer_to_buffer(source, *offset, &buffer, at, Some(*bytes));
            at += bytes;
        }
        buffer
    }

    /// Asks for a staging buffer whose copies have been submitted.
    pub fn read(&self, gpu: &Gpu, buffer: wgpu::Buffer) -> Pending {
        let (sender, arrived) = oneshot_channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver may be gone: then nobody wants the bytes.
            let _ = sender.send(result);
        });
        gpu.wake();
        Pending { gpu: gpu.clone(), staging: self.clone(), buffer, arrived }
    }
}

impl Pending {
    /// The bytes, when the GPU has written them.
    pub async fn bytes(self) -> Result<Vec<u8>> {
        let mapped = self.arrived.receive().await;
        self.gpu.check()?;
        match mapped {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(Error::Gpu(format!("reading back failed ({error})"))),
            None => return Err(Error::Gpu("the device went away while it was read".into())),
        }
        let view = self.buffer.get_mapped_range(..).map_err(|error| Error::Gpu(error.to_string()))?;
        let bytes = view.to_vec();
        drop(view);
        self.buffer.unmap();
        let mut free = self.staging.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(self.buffer.size()).or_default().push(self.buffer);
        Ok(bytes)
    }
}
