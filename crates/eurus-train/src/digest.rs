//! SHA-256 as text, two digits a byte: what runs, results and files are told apart by.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use sha2::{Digest, Sha256};

/// Two digits a byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of some bytes.
pub fn of_bytes(bytes: impl AsRef<[u8]>) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes of a file that are read at a time.
const PART: usize = 1 << 20;

/// The SHA-256 of a file, read in parts.
///
/// # Errors
///
/// When the file cannot be read.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut part = vec![0; PART];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(hexadecimal(&hash.finalize())),
            Ok(count) => hash.update(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The SHA-256 of a model's parameters, and the number type of the first of them.
pub(crate) fn of_model<M: Module>(model: &M) -> (String, Option<DType>) {
    let mut parameters = Parameters::default();
    model.visit(&mut parameters);
    (hexadecimal(&parameters.hash.finalize()), parameters.dtype)
}

#[derive(Default)]
struct Parameters {
    hash: Sha256,
    dtype: Option<DType>,
}

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        self.dtype.get_or_insert(data.dtype());
        // The shape too: `[2, 3]` and `[3, 2]` can have the same bytes.
        for &dim in data.shape().iter() {
            self.hash.update((dim as u64).to_le_bytes());
        }
        self.hash.update(data.as_bytes());
    }
}
