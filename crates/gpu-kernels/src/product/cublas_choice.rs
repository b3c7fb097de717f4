//! Which products go to cuBLASLt.
//!
//! By default those for which it is faster: when a kind of product is first met, it is done both ways a few times on the device
//! and timed. The answer is kept for the process and, for later ones, in a file. [`SETTING`] fixes the answer instead.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use burn_cubecl::CubeDevice;
use burn_cubecl::tensor::CubeTensor;

use super::cublas_layout::{Gemm, Number};
use super::{cubek, cublas};
use crate::launch::empty;

/// The environment variable that says who multiplies: `fastest`, `cublaslt` or `cubek`.
pub const SETTING: &str = "EURUS_PRODUCTS";

/// A way to multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    CublasLt,
    Cubek,
}

impl Display for Form {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CublasLt => "cublaslt",
            Self::Cubek => "cubek",
        })
    }
}

impl FromStr for Form {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "cublaslt" => Ok(Self::CublasLt),
            "cubek" => Ok(Self::Cubek),
            _ => Err(()),
        }
    }
}

/// The form that is set, or none for the fastest.
fn fixed() -> Option<Form> {
    static FIXED: OnceLock<Option<Form>> = OnceLock::new();
    *FIXED.get_or_init(|| {
        let setting = std::env::var(SETTING).ok()?;
        let form = setting.parse().ok();
        if form.is_none() && setting != "fastest" {
            log::warn!(
                "{SETTING} is `{setting}`, not `fastest`, `cublaslt` or `cubek`: taken as `fastest`"
            );
        }
        form
    })
}

/// What products have in common for which one form is the fastest: every side is rounded up to a power of two.
fn kind(gemm: &Gemm) -> String {
    let [m, k, n] = gemm.sides().map(u64::next_power_of_two);
    let factor = |number: Number, transposed: bool| {
        format!("{number}{}", if transposed { "^T" } else { "" })
    };
    let lhs = factor(gemm.b.number, gemm.b_transposed);
    let rhs = factor(gemm.a.number, gemm.a_transposed);
    let onto = if gemm.onto { " added" } else { "" };
    format!("{m}x{k}x{n} {lhs} {rhs} to {}{onto}", gemm.out.number)
}

/// What has been found of every kind, on every device.
static KNOWN: Mutex<Option<HashMap<(CubeDevice, String), Form>>> = Mutex::new(None);

fn known<R>(act: impl FnOnce(&mut HashMap<(CubeDevice, String), Form>) -> R) -> R {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    act(known.get_or_insert_default())
}

/// How this product is to be done.
pub fn form(gemm: &Gemm, lhs: &CubeTensor, rhs: &CubeTensor) -> Form {
    if fixed() == Some(Form::Cubek) || !cublas::available(lhs) {
        return Form::Cubek;
    }
    let key = (lhs.device.clone(), kind(gemm));
    if let Some(form) = known(|known| known.get(&key).copied()) {
        return form;
    }
    // cubek would round float32 factors to TF32, which has 11 bits: who computes in float32 wants them all.
    if fixed() == Some(Form::CublasLt) || gemm.a.number == Number::F32 {
        return Form::CublasLt;
    }
    let file = File::of(lhs);
    let form = file.get(&key.1).unwrap_or_else(|| {
        let form = faster(gemm, lhs, rhs);
        file.put(&key.1, form);
        form
    });
    log::info!("matrix products: {} by {form}", key.1);
    known(|known| known.insert(key, form));
    form
}

/// cuBLASLt has failed: products of this kind go to cubek from now on.
pub fn give_up(gemm: &Gemm, device: &CubeDevice) {
    known(|known| known.insert((device.clone(), kind(gemm)), Form::Cubek));
}

/// The form that is faster on this product.
fn faster(gemm: &Gemm, lhs: &CubeTensor, rhs: &CubeTensor) -> Form {
    let [m, _, n] = gemm.sides().map(|side| side as usize);
    let dtype = gemm.out.number.dtype();
    // In a place of its own: what a sum holds must not change.
    let out = empty(lhs, [m, n], dtype);
    let library = seconds(lhs, || cublas::multiply(gemm, lhs, rhs, &out));
    let mut sum = Some(out);
    let cubek = || {
        let (lhs, rhs) = (lhs.clone(), rhs.clone());
        // A sum that is held here too would be copied.
        sum = match sum.take().filter(|_| gemm.onto) {
            Some(sum) => Some(cubek::product_onto(sum, lhs, rhs)),
            None => Some(cubek::product(lhs, rhs, dtype)),
        };
        Ok(())
    };
    match (library, seconds(lhs, cubek)) {
        (Some(library), Some(cubek)) if library <= cubek => Form::CublasLt,
        (Some(_), None) => Form::CublasLt,
        _ => Form::Cubek,
    }
}

/// The time of one run, the best of three measurements, or none when it fails.
fn seconds(on: &CubeTensor, mut run: impl FnMut() -> Result<(), String>) -> Option<f64> {
    const RUNS: u32 = 4;
    let done = || cubecl::future::block_on(on.client.sync()).ok();
    // The first run compiles and loads.
    run().ok()?;
    done()?;
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        for _ in 0..RUNS {
            run().ok()?;
        }
        done()?;
        best = best.min(start.elapsed().as_secs_f64() / f64::from(RUNS));
    }
    Some(best)
}

/// The answers of earlier processes for one card, one library and one version of these kernels, in
/// `eurus/products.json` below `XDG_CACHE_HOME` or `~/.cache`. A file that cannot be read or written costs a measurement.
struct File {
    path: Option<PathBuf>,
    setup: String,
}

type Answers = BTreeMap<String, BTreeMap<String, String>>;

impl File {
    fn of(tensor: &CubeTensor) -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME").filter(|it| !it.is_empty());
        let cache = cache
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(".cache")));
        let card = &tensor.client.properties().identity.name;
        let library = cublas::found().map_or_else(String::new, |library| library.to_string());
        Self {
            path: cache.map(|cache| cache.join("eurus").join("products.json")),
            setup: format!(
                "{card}, {library}, gpu-kernels {}",
                env!("CARGO_PKG_VERSION")
            ),
        }
    }

    fn read(&self) -> Option<Answers> {
        let text = std::fs::read_to_string(self.path.as_ref()?).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn get(&self, kind: &str) -> Option<Form> {
        self.read()?.get(&self.setup)?.get(kind)?.parse().ok()
    }

    fn put(&self, kind: &str, form: Form) {
        let mut answers = self.read().unwrap_or_default();
        let own = answers.entry(self.setup.clone()).or_default();
        own.insert(kind.into(), form.to_string());
        if let Err(error) = self.write(&answers) {
            log::warn!("matrix products: {kind} will be measured again: {error}");
        }
    }

    /// In one step, so that other processes never see half of it.
    fn write(&self, answers: &Answers) -> std::io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let folder = path.parent().unwrap_or(path);
        std::fs::create_dir_all(folder)?;
        let new = folder.join(format!("products-{}.json", std::process::id()));
        std::fs::write(&new, serde_json::to_vec_pretty(answers)?)?;
        std::fs::rename(new, path)
    }
}
