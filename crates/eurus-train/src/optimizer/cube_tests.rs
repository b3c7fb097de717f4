//! The update on a GPU beside that of the CPU. `--nocapture` prints how far apart they are.

use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorData};
use cpu_kernels::adamw::AdamWStep;

use super::halves::Halves;
use super::ops::tests::STEP;
use super::ops::{adamw_step, sums_of_squares};

/// Of float32, relative to 1 or the number.
const TOLERANCE: f32 = 1e-6;

/// An odd number of elements, of many cubes; and few.
const LENGTHS: [usize; 5] = [1, 2, 255, 1024, 70_001];

fn gpu() -> Device {
    Device::wgpu(Default::default())
}

fn on(device: &Device, values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

fn numbers(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

fn noise(length: usize) -> Vec<f32> {
    let normal = Distribution::Normal(0.0, 1.0);
    numbers(Tensor::random([length], normal, &Device::flex()))
}

/// How many of the numbers have other bits, and how far they are apart at most, relative to 1 or the number.
fn apart(ours: &[f32], cpu: &[f32]) -> (usize, f32) {
    let pairs = || ours.iter().zip(cpu);
    let differ = pairs().filter(|(a, b)| a.to_bits() != b.to_bits());
    let largest = pairs().map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
    (differ.count(), largest.fold(0.0, f32::max))
}

fn assert_close(what: &str, ours: &[f32], cpu: &[f32]) {
    assert_eq!(ours.len(), cpu.len());
    let (differ, largest) = apart(ours, cpu);
    println!("{what:40} {:8} {differ:8} {largest:12.1e}", ours.len(),);
    assert!(largest <= TOLERANCE, "{what}: {largest} apart");
}

/// All kinds of numbers: random bits, and those at the edges.
fn all_kinds() -> Vec<f32> {
    let edges = [
        0,
        1,
        0x7fff,
        0x8000,
        0xffff,
        0x1_8000,
        0x007f_ffff,
        0x0080_0000,
        0x3f80_7fff,
        0x3f80_8000,
        0x3f81_8000,
        0x7f7f_8000,
        0x7f7f_ffff,
        0x7f80_0000,
        0x7f80_0001,
        0x7fc0_0000,
        0x7fff_ffff,
    ];
    let signs = [0, 0x8000_0000_u32];
    let edges = edges
        .into_iter()
        .flat_map(|bits| signs.map(|sign| bits | sign));
    let random = (0..10_000_u32).map(|i| i.wrapping_mul(2_654_435_761));
    edges.chain(random).map(f32::from_bits).collect()
}

fn of_halves(halves: &Halves) -> (Vec<u8>, Vec<u8>) {
    let nearest = halves.nearest.clone().into_data();
    let remainders: Tensor<1, Int> = halves.remainders.clone();
    (
        nearest.as_bytes().to_vec(),
        remainders.into_data().as_bytes().to_vec(),
    )
}

#[test]
fn halves_are_those_of_the_cpu_to_the_bit_for_all_kinds_of_numbers() {
    let all = all_kinds();
    for length in [all.len(), all.len() - 1, 3, 1] {
        let [ours, cpu] =
            [gpu(), Device::flex()].map(|device| Halves::of(on(&device, &all[..length])));
        assert_eq!(ours.nearest.dtype(), DType::BF16);
        assert!(of_halves(&ours) == of_halves(&cpu), "{length} numbers");
        let bits = |halves: Halves| -> Vec<u32> {
            numbers(halves.joined())
                .into_iter()
                .map(f32::to_bits)
                .collect()
        };
        assert_eq!(bits(ours), bits(cpu), "{length} numbers");
    }
}

#[test]
fn updates_are_those_of_the_cpu() {
    println!(
        "{:40} {:>8} {:>8} {:>12}",
        "result", "numbers", "differ", "largest"
    );
    for (length, is_first) in LENGTHS.into_iter().zip([false, true].into_iter().cycle()) {
        let step = AdamWStep { is_first, ..STEP };
        let [parameter, gradient, first, second] = [0; 4].map(|_| noise(length));
        let second: Vec<f32> = second.into_iter().map(|it| it * it).collect();
        let whole = |device: &Device| {
            let [p, g, m, v] = [&parameter, &gradient, &first, &second].map(|it| on(device, it));
            let (p, m, v) = adamw_step(p, g, m, v, step);
            [p, m, v].map(numbers)
        };
        let in_halves = |device: &Device| {
            let [p, g, m, v] = [&parameter, &gradient, &first, &second].map(|it| on(device, it));
            let (halves, [m, v]) = Halves::of(p).adamw_step(g, [m, v], step);
            [halves.joined(), m, v].map(numbers)
        };
        let ours = in_halves(&gpu());
        let rows = ["parameters in halves", "first moments", "second moments"];
        for ((what, ours), cpu) in rows.into_iter().zip(&ours).zip(in_halves(&Device::flex())) {
            assert_close(what, ours, &cpu);
        }
        // On one device the same arithmetic.
        for (what, (ours, whole)) in rows.into_iter().zip(ours.iter().zip(whole(&gpu()))) {
            assert_eq!(apart(ours, &whole), (0, 0.0), "{what} of halves and whole");
        }
    }
}

#[test]
fn sums_of_squares_are_those_of_the_cpu_whatever_the_lengths() {
    let of = |device: &Device| -> Vec<f32> {
        let tensors = LENGTHS
            .map(|length| on(device, &vec![0.5; length]))
            .to_vec();
        sums_of_squares(tensors)
            .into_iter()
            .map(|sum| sum as f32)
            .collect()
    };
    assert_eq!(of(&gpu()), of(&Device::flex()));
    let values = noise(70_001);
    let of = |device: &Device| sums_of_squares(vec![on(device, &values)])[0] as f32;
    assert_close(
        "sum of squares",
        &[of(&gpu()) / 70_001.0],
        &[of(&Device::flex()) / 70_001.0],
    );
}
