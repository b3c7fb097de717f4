//! Products through a cuBLASLt and on a driver that compute nothing and check everything: shapes, places in memory, order.
//!
//! A driver is chosen when a process starts. So every test runs this program again, with the one test [`scene`] and the
//! libraries that it is to find.

use burn::backend::ops::FloatTensorOps as _;
use burn::tensor::{DType, Slice, TensorData};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};
use gpu_kernels::product::{Library, library, product, product_onto};
use serde_json::{Value, json};

use super::machine::{Account, Machine};

const ROWS: usize = 48;
const INPUTS: usize = 32;
const OUTPUTS: usize = 80;
/// CubeCL pads the rows of tensors that come from the host.
const PADDED_OUTPUTS: usize = 128;

fn tensor(shape: [usize; 2], dtype: DType) -> CubeTensor {
    let device = CubeDevice::Cuda(Default::default());
    let ones = TensorData::ones::<f32, _>(shape).convert_dtype(dtype);
    CubeBackend::float_from_data(ones, &device)
}

fn transposed(tensor: CubeTensor) -> CubeTensor {
    CubeBackend::float_transpose(tensor)
}

/// Numbers are fetched when they are looked at.
fn read(tensor: CubeTensor) {
    let data = cubecl::future::block_on(CubeBackend::float_into_data(tensor)).unwrap();
    assert!(!data.as_bytes().is_empty());
}

/// The products of a linear layer, forward and backward, and of a block of rows with float32 results.
fn layer() {
    let x = tensor([ROWS, INPUTS], DType::BF16);
    let weight = tensor([OUTPUTS, INPUTS], DType::BF16);
    read(product(x.clone(), transposed(weight.clone()), DType::BF16));
    let grad = tensor([ROWS, OUTPUTS], DType::BF16);
    read(product(grad.clone(), weight.clone(), DType::BF16));
    let sum = tensor([OUTPUTS, INPUTS], DType::F32);
    read(product_onto(sum, transposed(grad), x.clone()));
    let block = CubeBackend::float_slice(x, &[Slice::from(16..ROWS), Slice::from(0..INPUTS)]);
    read(product(block, transposed(weight), DType::F32));
}

/// A factor that no leading dimension describes.
fn strided() {
    let x = tensor([ROWS, INPUTS], DType::BF16);
    let row = CubeBackend::float_slice(x, &[Slice::from(0..1), Slice::from(0..INPUTS)]);
    let rows = CubeBackend::float_expand(row, [ROWS, INPUTS].into());
    let weight = tensor([OUTPUTS, INPUTS], DType::BF16);
    read(product(rows, transposed(weight), DType::BF16));
}

/// A sum that somebody else holds.
fn shared() {
    let sum = tensor([OUTPUTS, INPUTS], DType::F32);
    let [grad, x] = [OUTPUTS, INPUTS].map(|columns| tensor([ROWS, columns], DType::BF16));
    let first = product_onto(sum.clone(), transposed(grad.clone()), x.clone());
    read(product_onto(first, transposed(grad), x));
    read(sum);
}

/// A product that is large enough for every kernel.
fn large() {
    let [lhs, rhs] = [[512, 512]; 2].map(|shape| tensor(shape, DType::BF16));
    read(product(lhs, rhs, DType::BF16));
}

/// Prints what the library says.
struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.target().starts_with("gpu_kernels")
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            println!("{}", record.args());
        }
    }

    fn flush(&self) {}
}

#[test]
#[ignore = "a part of the other tests, which give it its driver"]
fn scene() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    match std::env::var("SCENE").unwrap().as_str() {
        "layer" => layer(),
        "strided" => strided(),
        "shared" => shared(),
        "large" => large(),
        other => panic!("no scene {other}"),
    }
    match library() {
        Some(found) => println!("library: {found}"),
        None => println!("library: not asked for"),
    }
}

/// Rows, inner length and columns of the result, which factors are transposed, and the leading dimensions of all three.
#[track_caller]
fn assert_call(call: &Value, sides: [usize; 3], transposed: [bool; 2], leading: [usize; 3]) {
    let asked = ["rows", "inner", "columns"].map(|side| &call[side]);
    assert_eq!(asked, sides.map(Value::from).each_ref(), "{call}");
    assert_eq!(call["transposed"], json!(transposed), "{call}");
    assert_eq!(call["leading"], json!(leading), "{call}");
}

/// Types of the factors and of the result, and whether it is added to what is there.
#[track_caller]
fn assert_numbers(call: &Value, types: [&str; 2], added: bool) {
    assert_eq!(call["types"], json!(types), "{call}");
    assert_eq!(call["added"], json!(added), "{call}");
}

#[test]
fn the_products_of_a_layer_are_asked_for_in_place_and_in_order() {
    let Some(machine) = Machine::new(&[]).and_then(Machine::with_cublaslt) else {
        return;
    };
    let account = machine.run("layer");
    account.assert_products(4, 1);
    assert_eq!(account.count("reads"), 4, "{}", account.printed);
    assert_eq!(account.count("launches"), 0, "views are not copied");
    assert!(
        account.printed.contains("library: cuBLASLt 13.0.0\n"),
        "{}",
        account.printed
    );
    let [forward, x_grad, weight_grad, block] = account.products.as_slice() else {
        panic!("{:?}", account.products);
    };
    // Rows of the result in the library's words are columns in ours, and its first factor is our second.
    let plain = ["bf16", "bf16"];
    let wide = ["bf16", "f32"];
    assert_call(
        forward,
        [OUTPUTS, INPUTS, ROWS],
        [true, false],
        [INPUTS, INPUTS, OUTPUTS],
    );
    assert_numbers(forward, plain, false);
    assert_call(
        x_grad,
        [INPUTS, OUTPUTS, ROWS],
        [false, false],
        [INPUTS, PADDED_OUTPUTS, INPUTS],
    );
    assert_numbers(x_grad, plain, false);
    assert_call(
        weight_grad,
        [INPUTS, ROWS, OUTPUTS],
        [false, true],
        [INPUTS, PADDED_OUTPUTS, INPUTS],
    );
    assert_numbers(weight_grad, wide, true);
    assert_call(
        block,
        [OUTPUTS, INPUTS, ROWS - 16],
        [true, false],
        [INPUTS, INPUTS, OUTPUTS],
    );
    assert_numbers(block, wide, false);
    let place = |product: &Value, matrix: usize| product["places"][matrix].as_u64().unwrap();
    // Weight, x and the gradient are each in one place for all that use them; a block of rows begins inside x.
    assert_eq!(place(forward, 0), place(x_grad, 0));
    assert_eq!(place(forward, 0), place(block, 0));
    assert_eq!(place(x_grad, 1), place(weight_grad, 1));
    assert_eq!(place(forward, 1), place(weight_grad, 0));
    assert_eq!(
        place(block, 1),
        place(forward, 1) + (16 * INPUTS * 2) as u64
    );
}

#[test]
fn on_an_older_driver_the_host_waits() {
    let machine = Machine::new(&["-DNULL_CUDA_WITHOUT_CONTEXT_EVENTS"]);
    let Some(machine) = machine.and_then(Machine::with_cublaslt) else {
        return;
    };
    let account = machine.run("layer");
    account.assert_products(4, 1);
    assert!(
        account.printed.contains("the host waiting for each"),
        "{}",
        account.printed
    );
    assert!(account.count("synchronizations") >= 8);
}

#[test]
fn without_the_library_products_go_to_cubek_and_a_line_says_so() {
    let Some(machine) = Machine::new(&[]).and_then(Machine::with_compiler) else {
        return;
    };
    let account = machine.run("layer");
    account.assert_products(0, 0);
    // Four products and a sum.
    assert!(account.count("launches") >= 5);
    let line = Library::Absent("there is no libcublasLt on the library path".into());
    assert!(
        account.printed.contains(&format!("library: {line}")),
        "{}",
        account.printed
    );
}

#[test]
fn a_library_that_refuses_is_replaced_by_cubek() {
    let machine = Machine::new(&[]).and_then(Machine::with_cublaslt);
    let Some(machine) = machine.and_then(Machine::with_compiler) else {
        return;
    };
    let account = machine.with("NULL_CUBLASLT_REFUSES", "1").run("layer");
    account.assert_products(0, 0);
    assert!(account.count("launches") >= 5);
}

#[test]
fn what_no_leading_dimension_describes_goes_to_cubek() {
    let machine = Machine::new(&[]).and_then(Machine::with_cublaslt);
    let Some(machine) = machine.and_then(Machine::with_compiler) else {
        return;
    };
    let account = machine.run("strided");
    account.assert_products(0, 0);
    assert!(account.count("launches") >= 1);
}

#[test]
fn a_sum_that_is_held_elsewhere_is_not_written_to() {
    let machine = Machine::new(&[]).and_then(Machine::with_cublaslt);
    let Some(machine) = machine.and_then(Machine::with_compiler) else {
        return;
    };
    let account = machine.run("shared");
    account.assert_products(2, 2);
    assert_eq!(account.count("launches"), 1, "one copy");
    let places = account.products.iter().map(|product| &product["places"][2]);
    let places: Vec<&Value> = places.collect();
    assert_eq!(
        places[0], places[1],
        "the second goes into the first's place"
    );
}

#[test]
#[ignore = "compiles six kernels, which takes a minute or more"]
fn without_the_library_kernels_of_cubek_compete() {
    let Some(machine) = Machine::new(&[]).and_then(Machine::with_compiler) else {
        return;
    };
    let machine = machine.with("EURUS_PRODUCTS", "fastest");
    let first = machine.run("large");
    let measured = |account: &Account| account.printed.matches(" s\n").count();
    assert_eq!(measured(&first), 6, "{}", first.printed);
    let second = machine.run("large");
    assert_eq!(measured(&second), 0, "{}", second.printed);
    assert_eq!(second.count("launches"), 1);
}

#[test]
fn what_is_faster_is_measured_once_and_kept_for_later_processes() {
    let machine = Machine::new(&[]).and_then(Machine::with_cublaslt);
    let Some(machine) = machine.and_then(Machine::with_compiler) else {
        return;
    };
    let machine = machine.with("EURUS_PRODUCTS", "fastest");
    let first = machine.run("layer");
    assert_eq!(first.count("products_unordered"), 0);
    assert_eq!(first.count("products_refused"), 0);
    // A kind is timed by 13 runs, and the four products are of four kinds.
    assert!(first.count("products") >= 4 * 13);
    let kept =
        std::fs::read_to_string(machine.folder.path().join("cache/eurus/products.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let setups = kept.as_object().unwrap();
    assert_eq!(setups.len(), 1);
    assert_eq!(
        setups.values().next().unwrap().as_object().unwrap().len(),
        4,
        "{kept}"
    );
    let second = machine.run("layer");
    assert!(second.count("products") <= 4);
}
