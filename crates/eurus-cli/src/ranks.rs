//! Processes that train together, and which of them speaks.

use anyhow::{Error, Result};
use eurus::train;
use eurus::train::Ranks;

use crate::options::{DeviceName, Steps};
use crate::usage::UsageError;

/// The ranks of this run: those that `mpirun` or `srun` started, if `--mpi` is given.
pub fn start(mpi: bool) -> Result<Ranks> {
    if mpi {
        with_mpi()
    } else {
        Ok(Ranks::default())
    }
}

#[cfg(feature = "mpi")]
fn with_mpi() -> Result<Ranks> {
    Ok(Ranks::mpi()?)
}

#[cfg(not(feature = "mpi"))]
fn with_mpi() -> Result<Ranks> {
    anyhow::bail!(
        "--mpi: this program was built without it; build it with `cargo build --release -p eurus-cli --features mpi`, which needs an MPI library and libclang"
    )
}

/// Whether an error is another rank's, which that rank reports itself.
pub fn is_reported_elsewhere(error: &Error, ranks: &Ranks) -> bool {
    error.chain().any(|cause| match cause.downcast_ref() {
        Some(train::Error::OtherRank { .. }) => true,
        Some(train::Error::RanksDiffer { .. }) => !ranks.is_first(),
        _ => false,
    })
}

/// The ranks of `--devices`: threads of this process with a device each.
pub fn of_devices(steps: &Steps) -> Result<Vec<Ranks>> {
    match steps.device {
        DeviceName::Wgpu => Err(UsageError::new(
            "--devices: of the devices of --device wgpu one alone is used; leave --devices out",
        )
        .into()),
        #[cfg(feature = "cuda")]
        DeviceName::Cuda => Ok(Ranks::cuda(steps.devices)),
        _ => Ok(Ranks::threads(steps.devices)),
    }
}

/// The GPU of this machine that a rank takes: among those of `--devices` its own, else that of its process's place.
pub fn gpu(steps: &Steps, ranks: &Ranks) -> usize {
    match steps.devices {
        1 => place_on_machine(),
        _ => ranks.rank(),
    }
}

/// The place of this process among those of its machine, as the launchers tell it; 0 without one.
fn place_on_machine() -> usize {
    let names = [
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "MPI_LOCALRANKID",
        "SLURM_LOCALID",
    ];
    let value = names.into_iter().find_map(|name| std::env::var(name).ok());
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or_default()
}
