//! How much memory is left for a model.

use std::fs;

use gaia_gguf::{Available, Gpu};
use llama_cpp_2::{LlamaBackendDevice, LlamaBackendDeviceType};

use crate::backend;
use crate::load::{LoadOptions, Split};

/// The GPU that a model may use: all there are together, unless `options` name one. `None` in a build
/// without such code, and on a machine without a GPU.
pub(crate) fn gpu(options: &LoadOptions) -> Option<Gpu> {
    if !cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal")) {
        return None;
    }
    backend::llama_backend();
    gpu_of(&llama_cpp_2::list_llama_ggml_backend_devices(), options)
}

fn gpu_of(devices: &[LlamaBackendDevice], options: &LoadOptions) -> Option<Gpu> {
    let of = |kind| {
        devices
            .iter()
            .filter(move |device| device.device_type == kind)
    };
    let mut gpus: Vec<_> = of(LlamaBackendDeviceType::Gpu).collect();
    if gpus.is_empty() {
        // As llama.cpp has it: one that shares the host's memory is used where there is no other.
        gpus = of(LlamaBackendDeviceType::IntegratedGpu).take(1).collect();
    }
    if options.split == Some(Split::None) {
        let main = usize::try_from(options.main_gpu.unwrap_or(0)).unwrap_or(0);
        gpus = gpus.into_iter().skip(main).take(1).collect();
    }
    let free = gpus.iter().map(|device| device.memory_free as u64);
    (!gpus.is_empty()).then(|| Gpu {
        free_bytes: free.sum(),
        layers: options.gpu_layers.map(u64::from),
    })
}

/// The bytes that can be had without swapping; `None` where the system does not say.
pub(crate) fn available_bytes() -> Option<u64> {
    Available::of(|path| fs::read_to_string(path).ok()).map(|available| available.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(device_type: LlamaBackendDeviceType, free: usize) -> LlamaBackendDevice {
        LlamaBackendDevice {
            index: 0,
            name: String::new(),
            description: String::new(),
            backend: String::new(),
            memory_total: 100,
            memory_free: free,
            device_type,
        }
    }

    #[test]
    fn gpus_add_up_unless_one_is_named() {
        use LlamaBackendDeviceType::{Cpu, Gpu, IntegratedGpu};
        let all = [
            device(Cpu, 50),
            device(Gpu, 7),
            device(IntegratedGpu, 9),
            device(Gpu, 8),
        ];
        let free = |devices: &[LlamaBackendDevice], options: &LoadOptions| {
            gpu_of(devices, options).map(|gpu| gpu.free_bytes)
        };
        let any = LoadOptions::default();
        assert_eq!(free(&all, &any), Some(15));
        assert_eq!(free(&all[..1], &any), None);
        assert_eq!(
            free(&[device(Cpu, 50), device(IntegratedGpu, 9)], &any),
            Some(9)
        );
        let second = LoadOptions {
            split: Some(Split::None),
            main_gpu: Some(1),
            ..any
        };
        assert_eq!(free(&all, &second), Some(8));
    }
}
