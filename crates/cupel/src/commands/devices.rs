use std::process::{Command, ExitCode};

use crate::table::table;

/// The backends of this build and the devices that they find, with what is missing and the cure.
pub fn devices() -> miette::Result<ExitCode> {
    let mut rows = vec![[
        "flex".to_owned(),
        "ready".to_owned(),
        format!(
            "pure Rust on the CPU, {} threads",
            std::thread::available_parallelism().map_or(1, usize::from)
        ),
    ]];
    let fit = libtorch(&mut rows);
    println!(
        "{}",
        table(&["device", "status", "what it is, or what is missing"], &rows)
    );
    println!("cupel {}, Burn {}", training::VERSION, training::BURN_VERSION);
    Ok(if fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(not(feature = "tch"))]
fn libtorch(rows: &mut Vec<[String; 3]>) -> bool {
    rows.push([
        "libtorch, libtorch:cuda:N".to_owned(),
        "not in this build".to_owned(),
        "build with the feature `tch`: cargo xtask libtorch -- cargo run --release --features tch -- devices"
            .to_owned(),
    ]);
    true
}

/// Adds LibTorch's devices; false where LibTorch is not the wanted one.
#[cfg(feature = "tch")]
fn libtorch(rows: &mut Vec<[String; 3]>) -> bool {
    use training::libtorch;

    let version = libtorch::version();
    let wanted = version
        .as_deref()
        .is_some_and(|version| version.split('+').next() == Some(libtorch::WANTED));
    let path = libtorch::path().map_or_else(
        || "an unknown place".to_owned(),
        |path| path.display().to_string(),
    );
    let found = version.unwrap_or_else(|| "of unknown version".to_owned());
    let (status, note) = match wanted {
        true => ("ready", format!("LibTorch {found} on the CPU, from {path}")),
        false => (
            "unexpected version",
            format!(
                "LibTorch {found} from {path}, where {} is wanted: cargo xtask libtorch provides it",
                libtorch::WANTED
            ),
        ),
    };
    rows.push(["libtorch".to_owned(), status.to_owned(), note]);

    let names = gpu_names();
    for index in 0..libtorch::gpus() {
        let name = names
            .get(index)
            .cloned()
            .unwrap_or_else(|| "a GPU of unknown name".to_owned());
        rows.push([format!("libtorch:cuda:{index}"), "ready".to_owned(), name]);
    }
    if libtorch::gpus() == 0 {
        let missing = if names.is_empty() {
            "no NVIDIA GPU or driver found (nvidia-smi lists none): LibTorch's CUDA devices need both"
                .to_owned()
        } else {
            format!(
                "{} is here, but this LibTorch cannot use it: build against a LibTorch with CUDA, and check that its \
                 lib directory is in LD_LIBRARY_PATH",
                names.join(", ")
            )
        };
        rows.push(["libtorch:cuda:N".to_owned(), "none".to_owned(), missing]);
    }
    wanted
}

/// LibTorch's version, where it is in the build.
pub fn libtorch_version() -> Option<String> {
    #[cfg(feature = "tch")]
    return training::libtorch::version();
    #[cfg(not(feature = "tch"))]
    return None;
}

/// Name and memory of each GPU, as the driver's own tool gives them; empty where there is none.
pub fn gpu_names() -> Vec<String> {
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=name,memory.total", "--format=csv,noheader"])
        .output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| line.trim().to_owned())
            .collect(),
        _ => Vec::new(),
    }
}
