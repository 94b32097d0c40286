//! How much memory is left for a model.

use std::fs;

use gaia_gguf::Gpu;
use llama_cpp_2::{LlamaBackendDevice, LlamaBackendDeviceType};

use crate::backend;
use crate::load::{LoadOptions, Split};

/// Where a control group sees itself.
const GROUP: &str = "/sys/fs/cgroup";

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

/// The bytes that can be had without swapping: what the system reports, or what is left of the
/// control group's limit if that is less. `None` where neither can be read.
pub(crate) fn available_bytes() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| meminfo_available(&text));
    let group = group_available(|file| fs::read_to_string(format!("{GROUP}/{file}")).ok());
    match (system, group) {
        (Some(system), Some(group)) => Some(system.min(group)),
        (system, group) => system.or(group),
    }
}

/// What is left under the limit of a control group (version 2), by the texts of its files. Pages of files
/// count as used there, but the kernel gives up those that nobody maps before it lets the group go without:
/// among them are those of a model that has just left memory. Mapped ones stay counted, for they may be the
/// weights of a model that is computing. `None` where there is no limit.
fn group_available(read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let number = |file| read(file)?.trim().parse::<u64>().ok();
    let limit = number("memory.max")?;
    let used = number("memory.current")?;
    let given_up = read("memory.stat").map_or(0, |stat| unmapped_files(&stat));
    Some(limit.saturating_sub(used.saturating_sub(given_up)))
}

fn unmapped_files(stat: &str) -> u64 {
    let of = |key: &str| {
        let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
        let value = lines.find(|(name, _)| *name == key);
        value
            .and_then(|(_, value)| value.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    let cached = of("inactive_file").saturating_add(of("active_file"));
    cached.saturating_sub(of("file_mapped"))
}

fn meminfo_available(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
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

    #[test]
    fn reads_meminfo() {
        let text = "MemTotal:       24000 kB\nMemAvailable:   21 kB\n";
        assert_eq!(meminfo_available(text), Some(21 * 1024));
        assert_eq!(meminfo_available("MemTotal: 1 kB"), None);
    }
    #[test]
    fn the_file_of_a_model_that_left_does_not_count_as_used() {
        let check = |max: &str, current: &str, stat: Option<&str>, expected| {
            let read = |file: &str| match file {
                "memory.max" => Some(max.to_owned()),
                "memory.current" => Some(current.to_owned()),
                "memory.stat" => stat.map(str::to_owned),
                other => panic!("{other} is read"),
            };
            assert_eq!(
                group_available(read),
                expected,
                "{max:?} {current:?} {stat:?}"
            );
        };
        let stat = "anon 100\nfile 650\nfile_mapped 50\nshmem 10\ninactive_anon 7\n\
            inactive_file 400\nactive_file 200\nworkingset_refault_file 9\n";
        check(
            "1000\n",
            "900\n",
            Some(stat),
            Some(1000 - 900 + 400 + 200 - 50),
        );
        check("1000\n", "900\n", None, Some(100));
        check(
            "1000\n",
            "900\n",
            Some("inactive_file x\nactive_file\n"),
            Some(100),
        );
        check(
            "1000\n",
            "900\n",
            Some("file_mapped 9999\ninactive_file 1\n"),
            Some(100),
        );
        // More given up than used, or more used than allowed: never below nothing, never above the limit.
        check("1000\n", "300\n", Some(stat), Some(1000));
        check("1000\n", "1100\n", None, Some(0));
        check("max\n", "900\n", Some(stat), None);
        check("", "", None, None);
    }
}
