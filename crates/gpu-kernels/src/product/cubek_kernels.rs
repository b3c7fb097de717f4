//! More kernels of cubek, to choose among by their speed: burn takes the first of them unless it tunes itself.

use std::fmt::{Display, Formatter};

use burn::backend::cubecl::dtype_to_storage_type;
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
use cubek::matmul::launch::launch_ref;
use cubek::matmul::multi_level::Strategy;
use cubek::matmul::multi_level::components::tile::TileMatmulKind::Mma;
use cubek::matmul::multi_level::routines::batch::double_buffering::DoubleBufferingArgs;
use cubek::matmul::multi_level::routines::batch::ordered_double_buffering::OrderedSelectionArgs;
use cubek::matmul::multi_level::routines::batch::simple::SimpleArgs;
use cubek::matmul::multi_level::routines::batch::specialized::SpecializedStrategy;
use cubek::matmul::routine::BlueprintStrategy::Inferred;
use cubek::std::InputBinding;

/// A kernel of cubek.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// burn's.
    Default,
    /// Next tiles are loaded while these are multiplied.
    Double,
    /// The same, with registers loaded in an order that hides it.
    OrderedDouble,
    /// Some planes load, others multiply.
    Specialized,
    /// Tiles loaded by Hopper's engine for that.
    SimpleTma,
    /// The same, with planes that only load.
    SpecializedTma,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Default,
        Self::Double,
        Self::OrderedDouble,
        Self::Specialized,
        Self::SimpleTma,
        Self::SpecializedTma,
    ];

    /// Whether rows must begin at multiples of 16 bytes.
    pub fn wants_alignment(self) -> bool {
        matches!(self, Self::SimpleTma | Self::SpecializedTma)
    }

    fn strategy(self) -> Option<Strategy> {
        Some(match self {
            Self::Default => return None,
            Self::Double => Strategy::DoubleCyclicMma(Inferred(DoubleBufferingArgs {
                tile_matmul: Mma,
                specialized: false,
            })),
            Self::OrderedDouble => Strategy::OrderedDoubleMma(Inferred(OrderedSelectionArgs {
                tile_matmul: Mma,
                partition_k: Some(2),
                row_count: Some(8),
                rows_per_plane: Some(2),
            })),
            Self::Specialized => {
                Strategy::SpecializedCyclicMma(Inferred(SpecializedStrategy { tile_matmul: Mma }))
            }
            Self::SimpleTma => Strategy::SimpleTmaMma(Inferred(SimpleArgs {
                tile_matmul: Mma,
                multi_rows: true,
            })),
            Self::SpecializedTma => {
                Strategy::SpecializedTmaMma(Inferred(SpecializedStrategy { tile_matmul: Mma }))
            }
        })
    }
}

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Default => "cubek",
            Self::Double => "cubek-double",
            Self::OrderedDouble => "cubek-ordered-double",
            Self::Specialized => "cubek-specialized",
            Self::SimpleTma => "cubek-simple-tma",
            Self::SpecializedTma => "cubek-specialized-tma",
        })
    }
}

/// `lhs` times `rhs`, in `result`, by one of the kernels, or by burn's where that one does not do such a product.
pub fn product_into(
    kernel: Kernel,
    result: CubeTensor,
    lhs: CubeTensor,
    rhs: CubeTensor,
) -> CubeTensor {
    let is_done = kernel
        .strategy()
        .is_some_and(|strategy| is_launched(strategy, &lhs, &rhs, &result));
    match is_done {
        true => result,
        false => super::cubek::product_into(result, lhs, rhs),
    }
}

fn is_launched(
    strategy: Strategy,
    lhs: &CubeTensor,
    rhs: &CubeTensor,
    result: &CubeTensor,
) -> bool {
    let input = |tensor: &CubeTensor| {
        let number = dtype_to_storage_type(tensor.dtype);
        InputBinding::new(tensor.clone().binding(), number)
    };
    let mut numbers = MatmulElems::from_globals(&MatmulGlobalElems {
        lhs: dtype_to_storage_type(lhs.dtype),
        rhs: dtype_to_storage_type(rhs.dtype),
        out: dtype_to_storage_type(result.dtype),
    });
    launch_ref(
        &strategy.into(),
        &lhs.client,
        input(lhs),
        input(rhs),
        result.clone().binding(),
        &mut numbers,
    )
    .is_ok()
}
