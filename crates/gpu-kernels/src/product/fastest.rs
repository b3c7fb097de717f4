//! By what a product on CUDA is done.
//!
//! By default by what is fastest: when a kind of product is first met, it is done in several ways a few times on the device and
//! timed. The answer is kept for the process and, for later ones, in a file. [`SETTING`] fixes the answer instead.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use burn_cubecl::CubeDevice;
use burn_cubecl::tensor::CubeTensor;

use super::cubek_kernels::{self, Kernel};
use super::cublas_layout::{Gemm, Number};
use super::{Library, cubek, cublas};
use crate::launch::empty;

/// The environment variable that says who multiplies: `fastest`, `cublaslt` or `cubek`.
pub const SETTING: &str = "EURUS_PRODUCTS";

/// Multiplications from which on it is worth minutes of compiling, once, to find the best of cubek's kernels.
const LARGE: u64 = 1 << 27;

/// A way to multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    CublasLt,
    Cubek(Kernel),
}

impl Form {
    /// burn's way.
    const DEFAULT: Self = Self::Cubek(Kernel::Default);
}

impl Display for Form {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CublasLt => f.write_str("cublaslt"),
            Self::Cubek(kernel) => write!(f, "{kernel}"),
        }
    }
}

impl FromStr for Form {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let cubek = Kernel::ALL.map(Self::Cubek);
        let mut forms = [Self::CublasLt].into_iter().chain(cubek);
        forms.find(|form| form.to_string() == name).ok_or(())
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// Whatever is fastest, if it takes minutes of compiling to find it.
    Fastest,
    /// cuBLASLt or burn's kernel.
    FasterOfTwo,
    /// One for all.
    Always(Form),
}

fn setting() -> Setting {
    static ASKED: OnceLock<Setting> = OnceLock::new();
    *ASKED.get_or_init(|| match std::env::var(SETTING).as_deref() {
        Err(_) => Setting::FasterOfTwo,
        Ok("fastest") => Setting::Fastest,
        Ok("cublaslt") => Setting::Always(Form::CublasLt),
        Ok("cubek") => Setting::Always(Form::DEFAULT),
        Ok(other) => {
            log::warn!("{SETTING} is `{other}`, not `fastest`, `cublaslt` or `cubek`: passed over");
            Setting::FasterOfTwo
        }
    })
}

/// Whether all rows of both factors begin at multiples of 16 bytes.
fn is_aligned(gemm: &Gemm, lhs: &CubeTensor, rhs: &CubeTensor) -> bool {
    let rows = [gemm.a, gemm.b].map(|it| it.leading * it.number.bytes());
    let starts = [lhs, rhs].map(|it| it.handle.offset_start.unwrap_or(0));
    rows.into_iter()
        .chain(starts)
        .all(|it| it.is_multiple_of(16))
}

/// What products have in common for which one form is the fastest: every side is rounded up to a power of two.
fn kind(gemm: &Gemm, lhs: &CubeTensor, rhs: &CubeTensor) -> String {
    let [m, k, n] = gemm.sides().map(u64::next_power_of_two);
    let factor = |number: Number, transposed: bool| match transposed {
        true => format!("{number}^T"),
        false => number.to_string(),
    };
    let left = factor(gemm.b.number, gemm.b_transposed);
    let right = factor(gemm.a.number, gemm.a_transposed);
    let onto = if gemm.onto { " added" } else { "" };
    let odd = if is_aligned(gemm, lhs, rhs) {
        ""
    } else {
        ", odd rows"
    };
    format!(
        "{m}x{k}x{n} {left} {right} to {}{onto}{odd}",
        gemm.out.number
    )
}

/// What has been found of every kind, on every device.
static KNOWN: Mutex<Option<HashMap<(CubeDevice, String), Form>>> = Mutex::new(None);

fn known<R>(act: impl FnOnce(&mut HashMap<(CubeDevice, String), Form>) -> R) -> R {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    act(known.get_or_insert_default())
}

/// How this product is to be done.
pub fn form(gemm: &Gemm, lhs: &CubeTensor, rhs: &CubeTensor) -> Form {
    if setting() == Setting::Always(Form::DEFAULT) {
        return Form::DEFAULT;
    }
    let first = match cublas::available(lhs) {
        true => Form::CublasLt,
        false => Form::DEFAULT,
    };
    let key = (lhs.device.clone(), kind(gemm, lhs, rhs));
    if let Some(form) = known(|known| known.get(&key).copied()) {
        return form;
    }
    // cubek rounds float32 factors to TF32, which has 11 bits: who computes in float32 wants them all.
    let is_set = matches!(setting(), Setting::Always(_)) || gemm.a.number == Number::F32;
    let multiplications: u64 = gemm.sides().iter().product();
    let many = setting() == Setting::Fastest && multiplications >= LARGE;
    if is_set || (first == Form::DEFAULT && !many) {
        return first;
    }
    let file = File::of(lhs);
    let form = file.get(&key.1).unwrap_or_else(|| {
        let form = fastest(gemm, lhs, rhs, first);
        file.put(&key.1, form);
        form
    });
    log::info!("matrix products: {} by {form}", key.1);
    known(|known| known.insert(key, form));
    form
}

/// cuBLASLt has failed: products of this kind go to cubek from now on.
pub fn give_up(gemm: &Gemm, lhs: &CubeTensor, rhs: &CubeTensor) {
    let key = (lhs.device.clone(), kind(gemm, lhs, rhs));
    known(|known| known.insert(key, Form::DEFAULT));
}

/// The form that is fastest on this product. Beside cuBLASLt one kernel of cubek competes: every other takes seconds to compile.
fn fastest(gemm: &Gemm, lhs: &CubeTensor, rhs: &CubeTensor, first: Form) -> Form {
    let forms: Vec<Form> = match first {
        Form::CublasLt => vec![first, Form::DEFAULT],
        Form::Cubek(_) => {
            let aligned = is_aligned(gemm, lhs, rhs);
            let kernels = Kernel::ALL.into_iter();
            let kernels = kernels.filter(|kernel| aligned || !kernel.wants_alignment());
            kernels.map(Form::Cubek).collect()
        }
    };
    let timed = forms.into_iter().filter_map(|form| {
        let seconds = seconds(gemm, lhs, rhs, form)?;
        log::debug!(
            "matrix products: {} by {form}: {seconds} s",
            kind(gemm, lhs, rhs)
        );
        Some((form, seconds))
    });
    let fastest = timed.min_by(|(_, a), (_, b)| a.total_cmp(b));
    fastest.map_or(Form::DEFAULT, |(form, _)| form)
}

/// The time of one run, the best of three measurements, or none when it fails.
fn seconds(gemm: &Gemm, lhs: &CubeTensor, rhs: &CubeTensor, form: Form) -> Option<f64> {
    const RUNS: u32 = 4;
    let [m, _, n] = gemm.sides().map(|side| side as usize);
    let dtype = gemm.out.number.dtype();
    // In a place of its own: what a sum holds must not change.
    let mut out = Some(empty(lhs, [m, n], dtype));
    let run = |out: &mut Option<CubeTensor>| {
        match form {
            Form::CublasLt => cublas::multiply(gemm, lhs, rhs, out.as_ref()?).ok()?,
            Form::Cubek(kernel) => {
                let product = empty(lhs, [m, n], dtype);
                let (lhs, rhs) = (lhs.clone(), rhs.clone());
                let product = cubek_kernels::product_into(kernel, product, lhs, rhs);
                *out = Some(match gemm.onto {
                    true => cubek::add(out.take()?, product),
                    false => product,
                });
            }
        }
        Some(())
    };
    // A kernel that does not compile is not launched and says so when what it would have written is asked for.
    let done = |out: &Option<CubeTensor>| {
        let written = lhs.client.sync_buffers([&out.as_ref()?.handle]);
        cubecl::future::block_on(written).ok()
    };
    // The first run compiles and loads.
    run(&mut out)?;
    done(&out)?;
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        for _ in 0..RUNS {
            run(&mut out)?;
        }
        done(&out)?;
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
        let library = match cublas::found() {
            Some(library @ Library::Found { .. }) => library.to_string(),
            _ => "cubek".into(),
        };
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
